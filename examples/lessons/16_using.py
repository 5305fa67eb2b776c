"""Lesson 16 in Python: `async with`: closes a resource when its block ends, in any way."""

import asyncio
from contextlib import AsyncExitStack

from lesson import seconds


class Connection:
    def __init__(self, host):
        self.host = host

    async def __aenter__(self):
        print(f"  {self.host} is open")
        return self

    async def __aexit__(self, *error):
        await asyncio.sleep(seconds(0.5))
        print(f"  {self.host} is closed")

    async def send(self, text):
        print(f"  to {self.host}: {text}")
        if not text:
            raise OSError("nothing to send")


async def wait_inside():
    async with Connection("ada"):
        await asyncio.get_running_loop().create_future()


async def main():
    print("to its end")
    async with Connection("ada") as ada:
        await ada.send("hello")

    print("with an error")
    try:
        async with Connection("ada") as ada:
            await ada.send("")
    except OSError as error:
        print(f"  {error}")

    print("cancelled")
    task = asyncio.create_task(wait_inside())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print('  Err("the task was cancelled")')

    print("several")
    async with AsyncExitStack() as stack:
        hosts = ["ada", "bob", "eve"]
        for host in hosts:
            await stack.enter_async_context(Connection(host))
        print(f"  {len(hosts)} of them")


asyncio.run(main())
