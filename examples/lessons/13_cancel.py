"""Lesson 13 in Python: cancellation."""

import asyncio

from lesson import seconds


async def work():
    try:
        print("  working")
        await asyncio.get_running_loop().create_future()
    finally:
        print("  the hammer is put away")


async def polite():
    try:
        await work()
    except asyncio.CancelledError:
        print("  cancelled; says goodbye first")
        await asyncio.sleep(seconds(1))
        print("  goodbye")
        raise


async def stubborn():
    try:
        await work()
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
    await asyncio.sleep(seconds(1))
    return '"finished nevertheless"'


async def busy():
    return sum(range(1, 1_000_001))


async def cancel(task):
    """Cancels the task, and returns its result as text."""
    task.cancel()
    try:
        return f"Ok({await task})"
    except asyncio.CancelledError:
        return "Err(the task was cancelled)"


async def main():
    print("a task")
    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    print(f"  {await cancel(task)}")

    print("one that catches the request")
    task = asyncio.create_task(polite())
    await asyncio.sleep(0)
    print(f"  {await cancel(task)}")

    print("one that swallows it")
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    print(f"  {await cancel(task)}")

    print("one that has not started")
    print(f"  {await cancel(asyncio.create_task(work()))}")

    print("one that never awaits")
    task = asyncio.create_task(busy())
    await asyncio.sleep(0)
    print(f"  {await cancel(task)}")

    print("one with a time limit")
    try:
        async with asyncio.timeout(seconds(1)):
            await polite()
    except TimeoutError:
        print("  Err(the time limit was reached)")


asyncio.run(main())
