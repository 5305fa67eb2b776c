"""Lesson 9 in Python: `wait`: waits for tasks without taking their results."""

import asyncio

from lesson import seconds


class OutOfPaper(Exception):
    pass


async def work(place, go):
    await asyncio.sleep(seconds(1))
    if place == 0:
        return "a page"
    if place == 1:
        await go.wait()
        raise OutOfPaper("out of paper")
    await asyncio.get_running_loop().create_future()


async def main():
    go = asyncio.Event()
    tasks = [asyncio.create_task(work(place, go)) for place in range(3)]

    def places(waited):
        """`wait` returns sets of tasks; this looks up their places."""
        done, pending = ([place for place, task in enumerate(tasks) if task in some] for some in waited)
        return f"done {done}, pending {pending}"

    waited = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    print(f"first completed: {places(waited)}")

    go.set()
    waited = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    print(f"first exception: {places(waited)}")

    waited = await asyncio.wait(tasks, timeout=seconds(1))
    print(f"timed out:       {places(waited)}")

    first, second, third = tasks
    print(f'the results are still in the handles: Ok(Ok("{first.result()}")), Ok(Err("{second.exception()}"))')
    third.cancel()
    try:
        await third
    except asyncio.CancelledError:
        print("the third is cancelled: Err(the task was cancelled)")


asyncio.run(main())
