"""Shared code of the twins: seconds, and a watch that counts them.

With `LESSON_SPEED=100` in the environment a second lasts 10 ms, as in the lessons.
"""

import os
import sys
import time


def speed():
    """Seconds of a lesson that pass in one real second."""
    text = os.environ.get("LESSON_SPEED", "1")
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.001 <= speed <= 1_000_000:
        sys.exit(f'LESSON_SPEED is "{text}", and must be a number from 0.001 to 1000000, such as 10')
    return speed


def seconds(count):
    """Converts seconds of the lesson into real seconds."""
    return count / speed()


class Watch:
    """Counts seconds of the lesson since its start."""

    def __init__(self):
        self.start = time.monotonic()

    def __str__(self):
        return f"{(time.monotonic() - self.start) * speed():.0f} s"
