"""Values that Hark has not, and what it says to do about each."""
import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import pathlib
import re
import types
import uuid


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int


class Plain:
    def __init__(self):
        self.x = 1


def named(name, *bases):
    """An object whose type has this name, as one of a package that is not installed."""
    module, _, name = name.rpartition(".")
    return type(name, bases, {"__module__": module})()


class Lazy:
    def __await__(self):
        yield


VALUES = {
    "set": ({1}, "return `list(x)`"),
    "frozenset": (frozenset(), "return `list(x)`"),
    "range": (range(3), "return `list(x)`"),
    "map": (map(str, []), "return `list(x)`"),
    "deque": (collections.deque(), "return `list(x)`"),
    "keys": ({}.keys(), "return `list(x)`"),
    "array": (array.array("i"), "return `x.tolist()`"),
    "memoryview": (memoryview(b""), "return `x.tolist()`"),
    "bytearray": (bytearray(), "return `x.decode()` for a text, else `base64.b64encode(x).decode()`"),
    "proxy": (types.MappingProxyType({}), "return `dict(x)`"),
    "user dict": (collections.UserDict(), "return `dict(x)`"),
    "datetime": (datetime.datetime(2000, 1, 1), "return `x.isoformat()`"),
    "time": (datetime.time(), "return `x.isoformat()`"),
    "duration": (datetime.timedelta(), "return `x.total_seconds()`"),
    "decimal": (decimal.Decimal(1), "return `str(x)`, or `float(x)` if that is exact enough"),
    "fraction": (
        fractions.Fraction(1),
        "return `[x.numerator, x.denominator]`, or `float(x)` if that is exact enough",
    ),
    "uuid": (uuid.UUID(int=1), "return `str(x)`"),
    "path": (pathlib.Path("a"), "return `str(x)`"),
    "enum": (Color.RED, "return `x.value`"),
    "dataclass": (Point(1), "return `dataclasses.asdict(x)`"),
    "namespace": (types.SimpleNamespace(), "return a dict of what the program needs of it"),
    "plain": (Plain(), "return a dict of what the program needs of it"),
    "frame": (named("pandas.DataFrame"), 'return `x.to_dict("records")`'),
    "older frame": (named("pandas.core.frame.DataFrame"), 'return `x.to_dict("records")`'),
    "missing": (named("pandas.api.typing.NAType"), "return `None`"),
    "float32": (named("numpy.float32", type(named("numpy.floating"))), "return `float(x)`"),
    "bool": (named("numpy.bool"), "return `bool(x)`"),
    "datetime64": (named("numpy.datetime64", type(named("numpy.generic"))), "return `str(x)`"),
    "void": (named("numpy.void", type(named("numpy.generic"))), "return `x.item()`"),
    "match": (re.match("a", "a"), "return `x.group()`"),
    "file": (io.StringIO(), "return `x.read()`, or the path"),
    "function": (print, "return what it gives, or its name"),
    "lambda": (lambda: 1, "return what it gives, or its name"),
    "class": (Plain, "return what it gives, or its name"),
    "module": (re, "return what it gives, or its name"),
    "exception": (KeyError("a"), "raise it, or return `str(x)`"),
    "awaitable": (Lazy(), "return `await x`"),
}


def remedies():
    return [[name, remedy] for name, (_, remedy) in VALUES.items()]


def value(name):
    return [VALUES[name][0]]
