"""The Python functions of program.hk."""
import os
import time


class Thing:
    def __init__(self, number):
        self.number = number
        self.noise = os.urandom(1_000_000)


def thing(number):
    return Thing(number)


def number_of(thing):
    return thing.number + len(thing.noise)


def later(i):
    time.sleep(i if i >= 1000 else i / 1000)
    return i


def fails_once(name):
    if not os.path.exists(name):
        open(name, "w").close()
        raise ValueError("the first time")
    return 7


def stuck_once(name):
    """Never returns the first time."""
    if not os.path.exists(name):
        open(name, "w").close()
        time.sleep(1000)
    return 7
