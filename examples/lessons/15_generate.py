"""Lesson 15 in Python: an async generator, and the loop over it."""

import asyncio

from lesson import Watch, seconds


async def ticks(count):
    """Yields `count` numbers, one per second."""
    print("  (begins)")
    for tick in range(1, count + 1):
        await asyncio.sleep(seconds(1))
        yield tick
    print("  (ends)")


async def collect(ticks):
    return [tick async for tick in ticks]


async def main():
    print("to its end")
    numbers = ticks(2)
    print("  no value was requested yet")
    async for tick in numbers:
        print(f"  {tick}")

    print("left early")
    numbers = ticks(1_000_000)
    async for tick in numbers:
        print(f"  {tick}")
        if tick == 2:
            break
    await numbers.aclose()
    print("  closed")

    print("two at once")
    watch = Watch()
    some, others = await asyncio.gather(collect(ticks(3)), collect(ticks(3)))
    print(f"  {some} and {others} after {watch}")


asyncio.run(main())
