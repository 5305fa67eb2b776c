"""Lesson 8 in Python: `as_completed`: each result as soon as it is ready."""

import asyncio

from lesson import Watch, seconds


# Differs: "Several at once". Python's `as_completed` does not return the place of a result, so each nap returns it.
# Its time limit is one for all naps. The naps are tasks: those that are left have to be cancelled.
async def nap(place, delay):
    await asyncio.sleep(seconds(delay))
    return place, f"slept for {delay} s"


async def main():
    watch = Watch()
    for next_nap in asyncio.as_completed([nap(*each) for each in enumerate([3, 1, 2])]):
        place, slept = await next_nap
        print(f"place {place}: {slept}, arrived after {watch}")

    naps = [asyncio.create_task(nap(*each)) for each in enumerate([1_000_000, 1])]
    try:
        for next_nap in asyncio.as_completed(naps, timeout=seconds(4)):
            place, slept = await next_nap
            print(f"place {place}: {slept}")
    except TimeoutError as error:
        left = [task for task in naps if not task.done()]
        print(f"{str(error) or 'TimeoutError'}; {len(left)} is left")
        for task in left:
            task.cancel()


asyncio.run(main())

# Differs: "Several at once". The error has no text.
#
# - the time limit was reached; 1 is left
# + TimeoutError; 1 is left
