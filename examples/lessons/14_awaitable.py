"""Lesson 14 in Python: your own awaitable types."""

import asyncio


class Countdown:
    """Returns to the loop after each count. A bare `yield` asks to be called again in the next turn."""

    def __init__(self, name, left):
        self.name = name
        self.left = left

    def __await__(self):
        while self.left > 0:
            print(f"  {self.name}: {self.left}")
            self.left -= 1
            yield
        return self.name


class Rocket:
    def __init__(self, stages):
        self.stages = stages

    async def launch(self):
        await Countdown("R", self.stages)
        return f"{self.stages} stages are off"


async def count_up(to):
    count = 0
    while count < to:
        count += 1
        await asyncio.sleep(0)
    return count


class Pause:
    def __await__(self):
        return asyncio.sleep(0.001).__await__()


async def main():
    print("two of them, by the loop")
    names = await asyncio.gather(Countdown("A", 3), Countdown("B", 2))
    print(f"  {names}")

    print("a method")
    print(f"  {await Rocket(2).launch()}")

    print("a helper")
    print(f"  {await count_up(3)}")

    print("a value that converts into a future")
    await Pause()
    print("  awaited")


print("polled by hand")
for _ in Countdown("H", 2).__await__():
    pass

asyncio.run(main())
