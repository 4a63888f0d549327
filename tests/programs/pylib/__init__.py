"""The Python functions called by the programs."""
import asyncio
import collections
import enum
import datetime
import math
import os
import sys
import tempfile
import time
from pathlib import Path

import hark


def format(template, *args):
    return template.format(*args)


def echo(value):
    return value


def pair():
    return (1, 2)


def ten_times(x):
    return x * 10


def shout(text):
    print(text)


def raw():
    return b"raw"


def fails(message):
    raise ValueError(message)


def bad_fn():
    raise Exception("Something broke!")


# Parameters


def defaults(a, b="b", c="c"):
    return [a, b, c]


def any_number(*args):
    return list(args)


# Values


def describe(value):
    """The value's Python type, and those inside it."""
    name = type(value).__name__
    if isinstance(value, list):
        return [name, *map(describe, value)]
    if isinstance(value, dict):
        return [name, *([describe(key), describe(each)] for key, each in value.items())]
    return name


class Count(int):
    pass


class Name(str):
    pass


class Color(enum.IntEnum):
    RED = 3


Point = collections.namedtuple("Point", "x y")


def subclasses():
    return [Count(5), Name("n"), Color.RED, Point(1, 2), collections.OrderedDict(b=1, a=2), collections.Counter("aab")]


def tuples():
    return (1, (2, ()), [(3,)], {"t": (4,)})


def nothing():
    pass


def special(name):
    return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "-0.0": -0.0}[name]


def is_nan(value):
    return math.isnan(value)


def power_of_ten(digits):
    return 10 ** digits


def is_power_of_ten(value, digits):
    return value == 10 ** digits


def keys():
    return {1: "one", 2.5: "float", False: "boolean", "s": "string"}


def unusual(what):
    """Results that are not Hark values."""
    return {
        "deep": [1, {"a": [(n for n in [1])]}],
        "none key": {None: 1},
        "tuple key": {(1, 2): 3},
        "nan key": {math.nan: 1},
        "generator": (n for n in [1]),
        "surrogate": "\ud800",
    }[what]


# Objects


def day(year, month, number):
    return datetime.date(year, month, number)


def next_day(date):
    return date + datetime.timedelta(1)


def set_of(items):
    return set(items)


def items_of(items):
    return sorted(items)


def raw_bytes(text, times):
    return text.encode() * times


class Money:
    def __init__(self, amount):
        self.amount = amount

    def __str__(self):
        return f"{self.amount} EUR"


class Closed:
    """An object that can be pickled, but not unpickled."""

    def __setstate__(self, state):
        raise RuntimeError("closed for ever")

    def __init__(self):
        self.state = 1


def money(amount):
    return Money(amount)


def amount(money):
    return money.amount


def closed():
    return Closed()


def look_into(anything):
    return repr(anything)


# Errors


class Custom(Exception):
    pass


class Rude(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raises(what):
    if what == "custom":
        raise Custom("custom text")
    if what == "key":
        return {}["missing key"]
    if what == "zero":
        return 1 // 0
    if what == "empty":
        raise ValueError
    if what == "rude":
        raise Rude
    if what == "interrupt":
        raise KeyboardInterrupt("by hand")
    if what == "base":
        raise BaseException("from the base")
    if what == "unicode":
        raise ValueError("☃")
    if what == "chained":
        try:
            return {}["cause"]
        except KeyError as error:
            raise Custom("effect") from error
    if what == "recursion":
        return raises(what)
    if what == "printed":
        print("before the error")
        raise Custom("after printing")
    if what == "stop":
        raise StopIteration(5)


def leaves(status):
    sys.exit(status)


def leaves_with_text():
    sys.exit("leaving with text")


def dies(status):
    os._exit(int(status))


def mark(session):
    return Path(tempfile.gettempdir()) / f"hark-programs-{session}"


def dies_once(session):
    """Dies at the first call; a second call would return."""
    if mark(session).exists():
        return "called again"
    mark(session).touch()
    os._exit(3)


def fails_once(session):
    if mark(session).exists():
        return "called again"
    mark(session).touch()
    raise ValueError("failed once")


# Several at a time


def meet(session, me, other):
    """Whether a call with the two names the other way round runs at the same time."""
    mine, theirs = Path(f"{mark(session)}-{me}"), Path(f"{mark(session)}-{other}")
    mine.touch()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if theirs.exists():
            return True
        time.sleep(0.005)
    return False


async def coroutine(x):
    await asyncio.sleep(0.01)
    return x + 1


async def failing_coroutine():
    raise Custom("in a coroutine")


# Output


def say(text):
    print(text)
    return text


def say_without_line_end(text):
    sys.stdout.write(text)


def say_to_the_descriptor(text):
    os.write(1, text.encode())
    return 1


def say_to_standard_error(text):
    print(text, file=sys.stderr)
    return 1


def read_a_line():
    return input()


# A function with a builtin's name


def length(value):
    return "from Python"


def goes_on(wanted):
    """Gets one step further with each attempt."""
    done = hark.last_progress() or 0
    if done == wanted:
        return done
    hark.progress(done + 1)
    raise ConnectionError("after step %d" % (done + 1))


def says(what):
    before = hark.last_progress()
    named = {"set": {1}, "nan": float("nan"), "much": "x" * 5_000}
    for each in [named[what]] if isinstance(what, str) else what:
        hark.progress(each)
    return [before, hark.last_progress()]


def says_and_dies(what):
    if hark.last_progress() is None:
        hark.progress(what)
        os._exit(1)
    return hark.last_progress()
