"""Lesson 11 in Python: time limits."""

import asyncio

from lesson import Watch, seconds


class Connection:
    """Something that takes a second to close."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await asyncio.sleep(seconds(1))
        print("  the connection is closed")


async def forever():
    await asyncio.get_running_loop().create_future()


async def answer():
    return 42


async def answer_never_comes():
    async with Connection():
        await forever()


async def saves():
    try:
        await forever()
        return "everything"
    except asyncio.CancelledError:
        await asyncio.sleep(seconds(0.5))
        return "the part that existed"


async def main():
    print("timeout, around a quick future")
    async with asyncio.timeout(seconds(2)):
        print(f"  Ok({await answer()})")

    print("timeout")
    watch = Watch()
    try:
        async with asyncio.timeout(seconds(1)):
            await answer_never_comes()
    except TimeoutError:
        print(f"  Err(the time limit was reached) after {watch}")

    print("wait_for")
    watch = Watch()
    try:
        await asyncio.wait_for(answer_never_comes(), seconds(1))
    except TimeoutError:
        print(f"  Err(the time limit was reached) after {watch}")

    print("timeout_scope")
    watch = Watch()
    try:
        async with asyncio.timeout(seconds(1)) as limit:
            print("  a greeting, so the limit is removed")
            limit.reschedule(None)
            await asyncio.sleep(seconds(2))
            print("  a question, and one more second for the answer")
            limit.reschedule(asyncio.get_running_loop().time() + seconds(1))
            await forever()
    except TimeoutError:
        print(f"  Err(the time limit was reached) after {watch}")

    print("wait_for, around a future that saves")
    print(f'  Ok("{await asyncio.wait_for(saves(), seconds(1))}")')

    print("timeout, around a future that would save")
    async with asyncio.timeout(seconds(1)):
        print(f'  Ok("{await saves()}")')


asyncio.run(main())

# Differs: "Time limits". Every limit in Python cancels its coroutine and waits for its end; none just drops it.
#
# - timeout
# -   Err(the time limit was reached) after 1 s
# -   the connection is closed
# + timeout
# +   the connection is closed
# +   Err(the time limit was reached) after 2 s
#
# - timeout, around a future that would save
# -   Err(the time limit was reached)
# + timeout, around a future that would save
# +   Ok("the part that existed")
