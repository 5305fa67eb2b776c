"""Lesson 4 in Python: coroutines that await each other, with random delays."""

import asyncio
import random
import sys

from lesson import Watch, seconds


def random_delay():
    return random.randint(5, 30) / 10


async def fetch(chain, delay):
    print(f"{chain}: fetches for {delay} s")
    await asyncio.sleep(seconds(delay))
    return f"page {chain}"


async def store(chain, page, delay):
    print(f"{chain}: stores {page} for {delay} s")
    await asyncio.sleep(seconds(delay))
    return len(page)


async def chain(number):
    first, second = random_delay(), random_delay()
    page = await fetch(number, first)
    stored = await store(number, page, second)
    print(f"{number}: has stored {stored} bytes")
    return stored


async def main():
    watch = Watch()
    stored = await asyncio.gather(*map(chain, [1, 2, 3]))
    print(f"{sum(stored)} bytes in all, after {watch}")


random.seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
asyncio.run(main())
