"""The Python function of program.hk."""
import base64
import random


def noise(i):
    """A million characters that nothing makes much smaller, other ones for each number."""
    return base64.b64encode(random.Random(i).randbytes(750_000)).decode()


class Thing:
    """An object that only Python knows."""

    def __init__(self, content):
        self.content = content


def thing(size):
    return Thing(random.Random(size).randbytes(size))


def size(thing):
    return len(thing.content)
