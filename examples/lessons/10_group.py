"""Lesson 10 in Python: a group of tasks, one of which fails."""

import asyncio

from lesson import seconds


async def print_page(page):
    await asyncio.sleep(seconds(1))
    print(f"{page} is printed")
    return len(page)


async def parse(text):
    await asyncio.sleep(seconds(1))
    print(f"{text} is parsed")
    return int(text)


async def save(page):
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        await asyncio.sleep(seconds(1))
        print(f"{page} is half saved")
        raise OSError("the disk is full")


async def main():
    page = "page 1"
    try:
        async with asyncio.TaskGroup() as g:
            printed = g.create_task(print_page(page))
            g.create_task(save(page))
            print(f"{await printed} bytes, says the first child")
            g.create_task(parse("number 7"))
    except ExceptionGroup as group:
        print(f"{len(group.exceptions)} errors in a task group")
        for error in group.exceptions:
            print(f"- {error}")
        numbers, rest = group.split(ValueError)
        print(f"of numbers: {len(numbers.exceptions)}, of others: {len(rest.exceptions)}")


asyncio.run(main())

# Differs: "Groups". The error of each language has its own text.
#
# - - invalid digit found in string
# + - invalid literal for int() with base 10: 'number 7'
