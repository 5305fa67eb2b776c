"""Lesson 5 in Python: a sleep that blocks, and one that is awaited."""

import asyncio
import time

from lesson import Watch, seconds


async def await_nap(name):
    print(f"  {name} begins")
    await asyncio.sleep(seconds(1))
    print(f"  {name} ends")


async def blocking_nap(name):
    print(f"  {name} begins")
    time.sleep(seconds(1))
    print(f"  {name} ends")


async def pooled_nap(name):
    print(f"  {name} begins")
    await asyncio.to_thread(time.sleep, seconds(1))
    return name


async def main():
    print("sleep(..).await")
    watch = Watch()
    await asyncio.gather(*map(await_nap, "ab"))
    print(f"  after {watch}")

    print("std::thread::sleep(..)")
    watch = Watch()
    await asyncio.gather(*map(blocking_nap, "ab"))
    print(f"  after {watch}")

    print("spawn_blocking(|| std::thread::sleep(..)).await")
    watch = Watch()
    names = await asyncio.gather(*map(pooled_nap, "ab"))
    print(f"  {names} have ended after {watch}")


asyncio.run(main())
