"""Lesson 18 in Python: tasks, threads and processes, for waiting and for computing."""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from lesson import seconds, speed

PIECES = 4


def compute():
    """Counts primes, among fewer numbers than the lesson, because Python takes longer."""
    to = int(300_000 / speed())
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, to))


def wait():
    time.sleep(seconds(1))
    return 1


async def async_wait():
    await asyncio.sleep(seconds(1))
    return 1


async def async_compute():
    return compute()


async def measure(name, start):
    begun = time.monotonic()
    results = await asyncio.gather(*(start() for _ in range(PIECES)))
    assert len(set(results)) == 1
    print(f"  {name:<20} {(time.monotonic() - begun) * 1000:>5.0f} ms")


async def main():
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(PIECES) as threads, ProcessPoolExecutor(PIECES) as processes:
        print(f"waiting, {PIECES} times a second")
        await measure("tasks", async_wait)
        await measure("threads", lambda: loop.run_in_executor(threads, wait))
        await measure("processes", lambda: loop.run_in_executor(processes, wait))

        print("computing")
        begun = time.monotonic()
        compute()
        print(f"  {'one piece':<20} {(time.monotonic() - begun) * 1000:>5.0f} ms")
        print(f"computing, {PIECES} times")
        await measure("tasks", async_compute)
        await measure("threads", lambda: loop.run_in_executor(threads, compute))
        await measure("processes", lambda: loop.run_in_executor(processes, compute))


# Differs: "Tasks, threads, processes". The lines are the same, but threads gain nothing for computing, unless Python
# was built without its global lock.
if __name__ == "__main__":
    asyncio.run(main())
