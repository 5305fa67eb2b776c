"""Lesson 17 in Python: producers and consumers, with a queue between them."""

import asyncio
import random

from lesson import Watch, seconds


async def produce(producer, items):
    delays = [random.randrange(20) / 10 for _ in range(3)]
    for number, delay in enumerate(delays):
        await asyncio.sleep(seconds(delay))
        name = f"{producer}{number}"
        print(f"{name} is made")
        await items.put((name, Watch()))


async def consume(items, consumed):
    while True:
        name, made = await items.get()
        await asyncio.sleep(seconds(1))
        print(f"{name} is consumed, {made} old")
        items.task_done()
        consumed.append(name)


async def main():
    items = asyncio.Queue(2)
    consumed = []
    producers = [asyncio.create_task(produce(producer, items)) for producer in "ab"]
    consumers = [asyncio.create_task(consume(items, consumed)) for _ in range(3)]
    await asyncio.gather(*producers)
    await items.join()
    # The lesson ends its consumers by `Queue.shutdown`, which Python has from 3.13 on.
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    print(f"{len(consumed)} items in all")


random.seed(1)
asyncio.run(main())
