"""Lesson 7 in Python: `gather`: all results, in the order of the arguments."""

import asyncio

from lesson import Watch, seconds


class NotFound(Exception):
    pass


def shown(result):
    """A result as Rust's `Result` is shown."""
    return f'Err("{result}")' if isinstance(result, Exception) else f"Ok({result})"


async def fetch(page, delay):
    await asyncio.sleep(seconds(delay))
    print(f"  page {page} arrived")
    if page == 404:
        raise NotFound(f"page {page} was not found")
    return page


async def print_page(paper, printed):
    await paper.wait()
    print("  page 0 is printed")
    printed.set()
    return 0


async def main():
    print("gather")
    watch = Watch()
    pages = await asyncio.gather(fetch(1, 3), fetch(404, 1), fetch(3, 2), return_exceptions=True)
    print(f"  [{', '.join(map(shown, pages))}] after {watch}")

    print("try_gather, without an error")
    pages = await asyncio.gather(fetch(1, 2), fetch(2, 1))
    print(f"  {shown(pages)}")

    print("try_gather, with an error")
    watch = Watch()
    paper, printed = asyncio.Event(), asyncio.Event()
    try:
        await asyncio.gather(print_page(paper, printed), fetch(404, 1))
    except NotFound as error:
        print(f"  {shown(error)} after {watch}")
    paper.set()
    await printed.wait()


asyncio.run(main())
