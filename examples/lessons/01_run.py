"""Lesson 1 in Python: a loop, made and ended by hand, and by `run`."""

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
    print("  a loop is there, and a task, which has not begun")

    print(f"  the answer is {loop.run_until_complete(answer())}")
    print("  between two futures the loop stands still, and the task waits: it has not ended")
    loop.run_until_complete(asyncio.sleep(0))
    assert not task.done()

    # A Python loop that is closed leaves its tasks pending; `asyncio.run` cancels them, and so does every runtime here.
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
    print(f"  the loop has ended, and has cancelled {len(left)} task")


print("by hand")
by_hand()

print("by run")
print(f"  the answer is {asyncio.run(answer())}")
