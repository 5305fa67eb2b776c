"""Lesson 12 in Python: `shield`: protects work from the cancellation of its caller."""

import asyncio

from lesson import seconds


async def print_page(page, paper):
    await paper.wait()
    print(f"  page {page} is printed")
    return page


async def main():
    paper = asyncio.Event()

    print("without a shield")
    try:
        await asyncio.wait_for(print_page(1, paper), seconds(1))
    except TimeoutError:
        print("  Err(the time limit was reached); the print job was dropped")
    paper.set()
    await asyncio.sleep(0)
    print("  there is paper, but the print job is gone")

    print("with a shield")
    paper.clear()
    # Differs: "Shields". asyncio keeps weak references to tasks, so the program has to keep a strong one.
    printing = asyncio.create_task(print_page(2, paper))
    try:
        await asyncio.wait_for(asyncio.shield(printing), seconds(1))
    except TimeoutError:
        print("  Err(the time limit was reached), but the print job continues")
    paper.set()
    print(f"  {await printing}")

    print("the caller is cancelled")
    paper.clear()
    printing = asyncio.create_task(print_page(3, paper))

    async def call():
        return await asyncio.shield(printing)

    caller = asyncio.create_task(call())
    await asyncio.sleep(0)
    caller.cancel()
    try:
        await caller
    except asyncio.CancelledError:
        print("  Err(the task was cancelled)")
    paper.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


asyncio.run(main())
