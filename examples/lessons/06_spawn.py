"""Lesson 6 in Python: awaiting a coroutine, awaiting a task, and the order of awaits."""

import asyncio

from lesson import Watch, seconds


async def after(delay, what):
    await asyncio.sleep(seconds(delay))
    return what


async def main():
    spawn = asyncio.create_task

    print("two futures")
    watch = Watch()
    hello, world = after(1, "hello"), after(2, "world")
    print(f"  {await hello} after {watch}")
    print(f"  {await world} after {watch}")

    print("two tasks")
    watch = Watch()
    hello, world = spawn(after(1, "hello")), spawn(after(2, "world"))
    print(f"  {await hello} after {watch}")
    print(f"  {await world} after {watch}")

    print("the slowest task is awaited first")
    watch = Watch()
    slow, quick = spawn(after(3, "slow")), spawn(after(1, "quick"))
    print(f"  {await slow} after {watch}")
    print(f"  {await quick} after {watch}")

    print("a task is spawned, but a future is awaited first")
    watch = Watch()
    task = spawn(after(2, "task"))
    print(f"  {await after(1, 'future')} after {watch}")
    print(f"  {await task} after {watch}")


asyncio.run(main())
