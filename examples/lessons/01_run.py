"""Lesson 1 in Python: a loop, created and closed by hand, and by `run`."""

import asyncio

from lesson import seconds


async def answer():
    await asyncio.sleep(seconds(1))
    return 42


async def forever():
    print("  the task runs")
    await asyncio.get_running_loop().create_future()


def by_hand():
    loop = asyncio.new_event_loop()
    task = loop.create_task(forever())
    print("  the loop and the task exist; the task has not started")

    print(f"  the answer is {loop.run_until_complete(answer())}")
    print("  between two futures the loop does not run; the task is suspended")
    loop.run_until_complete(asyncio.sleep(0))
    assert not task.done()

    # `loop.close()` leaves tasks pending in Python. `asyncio.run` cancels them, as every runtime of this crate does.
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
    print(f"  the loop is closed and has cancelled {len(left)} task")


print("by hand")
by_hand()

print("by run")
print(f"  the answer is {asyncio.run(answer())}")
