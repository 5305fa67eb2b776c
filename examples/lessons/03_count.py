"""Lesson 3 in Python: three counters, one after another and concurrently."""

import asyncio

from lesson import Watch, seconds


async def count(name):
    print(f"  {name}: one")
    await asyncio.sleep(seconds(1))
    print(f"  {name}: two")


async def main():
    print("one after the other")
    watch = Watch()
    for name in "abc":
        await count(name)
    print(f"  after {watch}")

    print("at once")
    watch = Watch()
    await asyncio.gather(*map(count, "abc"))
    print(f"  after {watch}")


asyncio.run(main())
