"""Lesson 2 in Python: a coroutine does nothing until it is awaited, and other tasks run only while it waits."""

import asyncio

from lesson import seconds


async def greet():
    print("hello ...")
    await asyncio.sleep(seconds(1))
    print("... world")


async def add(a, b):
    return a + b


async def say(text):
    print(text)


async def main():
    greeting = greet()
    print("greet() was called")
    other = asyncio.create_task(say("(another task, while the greeting sleeps)"))
    await greeting
    await other

    other = asyncio.create_task(say("(another task)"))
    total = 0
    for number in range(1, 4):
        total = await add(total, number)
        print(f"awaited a sum that was ready: {total}")
    print("now yield_now, which is never ready at once")
    await asyncio.sleep(0)
    print("back again")
    await other


asyncio.run(main())
