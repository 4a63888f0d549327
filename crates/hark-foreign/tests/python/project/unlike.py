"""Values without a Hark type of their own."""
import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import numbers
import pathlib
import pickle
import types
import uuid


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int


class Plain:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x


class Unprintable(Plain):
    def __str__(self):
        raise RuntimeError("no text")


def objects():
    """Objects with their text forms."""
    return [
        [{1}, "<set {1}>"],
        [frozenset(), "<frozenset frozenset()>"],
        [b"raw", "<bytes b'raw'>"],
        [bytearray(2), "<bytearray bytearray(b'\\x00\\x00')>"],
        [range(3), "<range range(0, 3)>"],
        [collections.deque([1]), "<collections.deque deque([1])>"],
        [array.array("i", [1]), "<array.array array('i', [1])>"],
        [datetime.date(2026, 11, 26), "<datetime.date 2026-11-26>"],
        [datetime.timedelta(1), "<datetime.timedelta 1 day, 0:00:00>"],
        [decimal.Decimal("1.50"), "<decimal.Decimal 1.50>"],
        [fractions.Fraction(1, 3), "<fractions.Fraction 1/3>"],
        [1j, "<complex 1j>"],
        [uuid.UUID(int=1), "<uuid.UUID 00000000-0000-0000-0000-000000000001>"],
        [pathlib.PurePosixPath("a"), "<pathlib.PurePosixPath a>"],
        [Color.RED, "<unlike.Color Color.RED>"],
        [Point(1), "<unlike.Point Point(x=1)>"],
        [Plain(1), "<unlike.Plain 44 B>"],
        [KeyError("a"), "<KeyError 'a'>"],
        [print, "<builtin_function_or_method "],
        [set(range(1_000)), "<set "],
        [datetime.date, "<type "],
        [bytes(100_000), "<bytes 100 KB>"],
        ["a\nb".encode() * 20, "<bytes 75 B>"],
    ]


def as_they_were(found):
    """The values that came back changed."""
    same = lambda one, other: type(one) is type(other) and (one == other or repr(one) == repr(other))
    return [repr(one) for one, (other, _) in zip(found, objects()) if not same(one, other)]


class Whole:
    def __init__(self, value):
        self.value = value

    def __int__(self):
        return self.value


class Real:
    def __init__(self, value):
        self.value = value

    def __float__(self):
        return self.value


numbers.Integral.register(Whole)
numbers.Real.register(Real)


def numpy_bool():
    return type("bool", (), {"__module__": "numpy", "__bool__": lambda self: True})()


def converted():
    return [
        Whole(7),
        Whole(1 << 70),
        numpy_bool(),
        {Whole(1): types.MappingProxyType({"a": (1, 2)})},
        collections.ChainMap({"a": 1}),
        collections.UserDict(b=[Real(0.5)]),
    ]


class Unreadable:
    def __setstate__(self, state):
        raise LookupError("not here any more")

    def __init__(self):
        self.x = 1


class Unwritable:
    def __reduce__(self):
        raise ArithmeticError("not to be written")


def unreadable():
    return Unreadable()


def unwritable():
    return {"k": [Unwritable()]}


KEPT = {1}


def grow(x):
    """Returns a value that the module changes later."""
    KEPT.add(x)
    return KEPT


def change(values):
    for each in values:
        each.add("changed")
    return sorted(map(len, values))


def same(x):
    return x


def length(x):
    return len(x)


class Table:
    """Pickles like a numpy array: its memory is passed on without a copy."""

    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return Table, (pickle.PickleBuffer(self.data),)


def table(size):
    return Table(bytearray(b"\x07" * size))


def write(found, at, value):
    """Changes its argument and returns it."""
    memoryview(found.data)[at] = value
    return found


def read(found, at):
    return [len(found.data), memoryview(found.data)[at]]


def twice(found):
    """Its argument twice, and a part of it."""
    return [found, found, Table(memoryview(found.data)[:-1])]


def write_to_both(one, other):
    write(one, 0, 1)
    return [read(one, 0), read(other, 0)]
