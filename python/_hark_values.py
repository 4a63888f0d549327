"""Values as bytes, for both directions; `crates/hark-foreign/src/values.rs` is the other side.

A value is a tag and what belongs to it, all little-endian:

    N T F                 null, true, false
    i <8 bytes>           an integer of 64 bits
    I <length> <bytes>    any other integer, two's complement
    f <8 bytes>           a float
    s <length> <bytes>    a string in UTF-8
    l <count> values      a list
    q, e <count> <bytes>  a list of 64-bit integers, of floats
    d <count> values      a dict: key, value, key, value
    O <number>            an object: which of those that the message has

Lengths and counts have four bytes. Nothing here recurses: nesting is limited by memory only.
"""
import struct
import sys
from _collections_abc import Mapping
from array import array
from itertools import islice

# Lists from this length on are looked at for whether they hold numbers of one type only.
PACKED_LENGTH_MIN = 16

# The most lists and dicts of an encoded value. One that lies in another many times, at many levels, is small in memory and
# in bytes, but takes its time.
CONTAINERS_MAX = 50_000_000

# How many are encoded before all are counted.
CONTAINERS_UNMEASURED = 100_000

# The most characters of a text that fits in any case.
SHORT_LENGTH_MAX = 1000

# How many parts of an encoded value are joined at a time: each alone takes several times the memory of its bytes.
PARTS_JOINED = 1 << 14

# The most bits of an integer that Hark has.
INTEGER_BITS_MAX = 16_777_216

# What lists and hashes are made from.
CONTAINERS = (list, tuple, dict, Mapping)

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_read_integer = struct.Struct("<q").unpack_from
_read_float = struct.Struct("<d").unpack_from
_read_count = struct.Struct("<I").unpack_from
_tagged_integer = struct.Struct("<cq").pack
_tagged_float = struct.Struct("<cd").pack
_tagged_count = struct.Struct("<cI").pack


class Refused(Exception):
    """A result that Hark has no value for, because of something in it: a value, or a dict's key. It may be one that cannot be
    pickled; then `why` says so.
    """

    def __init__(self, culprit, is_key=False, why=""):
        super().__init__()
        self.value = self.culprit = culprit
        self.is_key = is_key
        self.why = why


class TooLarge(Exception):
    """A result that has more bytes than it may, or more lists and dicts."""


class RefusedArgument(Exception):
    """An argument that Python has no value for; the text says what it is."""


def decode(data, at, objects=None):
    """The value that begins at this index; `objects` gives an object by its number."""
    open_lists = []
    items, missing, is_dict = [], 1, False
    while True:
        while missing:
            missing -= 1
            tag = data[at]
            at += 1
            if tag == 115:  # s
                end = at + 4 + _read_count(data, at)[0]
                items.append(str(data[at + 4 : end], "utf-8"))
                at = end
            elif tag == 105:  # i
                items.append(_read_integer(data, at)[0])
                at += 8
            elif tag == 102:  # f
                items.append(_read_float(data, at)[0])
                at += 8
            elif tag == 78:  # N
                items.append(None)
            elif tag == 84:  # T
                items.append(True)
            elif tag == 70:  # F
                items.append(False)
            elif tag == 108 or tag == 100:  # l, d
                count = _read_count(data, at)[0]
                at += 4
                open_lists.append((items, missing, is_dict))
                items, missing, is_dict = [], count, False
                if tag == 100:
                    missing, is_dict = 2 * count, True
            elif tag == 113 or tag == 101:  # q, e
                end = at + 4 + 8 * _read_count(data, at)[0]
                numbers = array("q" if tag == 113 else "d", data[at + 4 : end])
                if sys.byteorder == "big":
                    numbers.byteswap()
                items.append(numbers.tolist())
                at = end
            elif tag == 73:  # I
                end = at + 4 + _read_count(data, at)[0]
                items.append(int.from_bytes(data[at + 4 : end], "little", signed=True))
                at = end
            elif tag == 79:  # O
                items.append(objects(_read_count(data, at)[0]))
                at += 4
            else:
                raise AssertionError("unknown tag %d" % tag)
        if not open_lists:
            return items[0]
        value = _dict_of(items) if is_dict else items
        items, missing, is_dict = open_lists.pop()
        items.append(value)


def _dict_of(items):
    result = dict(zip(items[::2], items[1::2]))
    if 2 * len(result) != len(items):
        # Hark tells 1 from true; a dict would silently lose one of them.
        raise RefusedArgument("a hash whose keys are one and the same in Python, such as `1` and `true`")
    return result


def encode(value, bytes_max, objects=None):
    """The bytes of a value, in parts. What is of no type of Hark's is an object, if there are `objects` for it to be added to.

    Raises Refused if it is none that Hark has, and TooLarge as soon as it is clear that it has more than `bytes_max`
    bytes: until then it has needed about as much memory.
    """
    # Most results are one of these.
    kind = type(value)
    if kind is int and INT64_MIN <= value <= INT64_MAX:
        return [_tagged_integer(b"i", value)]
    if kind is str and len(value) <= SHORT_LENGTH_MAX:
        data = _utf8(value)
        return [_tagged_count(b"s", len(data)), data]
    if value is None:
        return [b"N"]
    try:
        return _encode(value, bytes_max, objects)
    except Refused as refused:
        refused.value = value
        raise


def _encode(value, bytes_max, objects=None):
    joined, parts = [], []
    add = parts.append
    # What is left of the limit after what was joined, and after the long parts that were added since. Short ones, of nine
    # bytes at most, count when they are joined.
    room_joined = room = bytes_max
    containers = 0
    # The containers that the current one lies in: what is left of them, and their ids, to find cycles.
    outer, open_ids, current = [], set(), None
    items = iter((value,))
    while True:
        if len(parts) > PARTS_JOINED:
            joined.append(b"".join(parts))
            parts.clear()
            room_joined -= len(joined[-1])
            room = room_joined
            if room < 0:
                raise TooLarge
        for item in islice(items, PARTS_JOINED):
            kind = type(item)
            if kind is str:
                if len(item) > room:
                    raise TooLarge
                data = _utf8(item)
                room -= len(data)
                add(_tagged_count(b"s", len(data)))
                add(data)
            elif kind is int:
                if INT64_MIN <= item <= INT64_MAX:
                    add(_tagged_integer(b"i", item))
                else:
                    if item.bit_length() > INTEGER_BITS_MAX:
                        raise Refused(item)
                    length = item.bit_length() // 8 + 1
                    if length > room:
                        raise TooLarge
                    room -= length
                    add(_tagged_count(b"I", length))
                    add(item.to_bytes(length, "little", signed=True))
            elif item is None:
                add(b"N")
            elif item is True:
                add(b"T")
            elif item is False:
                add(b"F")
            elif kind is float:
                add(_tagged_float(b"f", item))
            elif isinstance(item, CONTAINERS):
                tag, inner = _opened(item)
                containers += 1
                if len(inner) > room:
                    raise TooLarge
                if containers == CONTAINERS_UNMEASURED:
                    _measure(value)
                if len(inner) >= PACKED_LENGTH_MIN and tag == b"l":
                    packed = _packed(inner, room)
                    if packed:
                        room -= len(packed[1])
                        parts += packed
                        continue
                if id(item) in open_ids:
                    raise Refused(item)
                add(_tagged_count(tag, len(inner) if tag == b"l" else len(inner) // 2))
                open_ids.add(id(item))
                outer.append((items, current))
                items, current = iter(inner), id(item)
                break
            else:
                data, size = _other(item, room, objects)
                room -= size
                if room < 0:
                    raise TooLarge
                add(data)
        else:
            if items.__length_hint__():
                continue
            if not outer:
                break
            open_ids.discard(current)
            items, current = outer.pop()
    if sum(map(len, parts)) > room_joined:
        raise TooLarge
    return joined + parts


def _measure(value):
    """Raises TooLarge if there are more lists and dicts in a value than may be: each counts where it occurs, and is looked at
    once.
    """
    counts = {}
    # What is open: its id, what is left of it, and how many were counted in it.
    path = [[id(value), iter(_opened(value)[1]), 1]]
    while path:
        top = path[-1]
        for item in top[1]:
            if not isinstance(item, CONTAINERS):
                continue
            count = counts.get(id(item))
            if count is None:
                # If it lies in itself, that is found where it is encoded.
                counts[id(item)] = 0
                path.append([id(item), iter(_opened(item)[1]), 1])
                break
            top[2] += count
        else:
            path.pop()
            counts[top[0]] = top[2]
            if top[2] > CONTAINERS_MAX:
                raise TooLarge
            if path:
                path[-1][2] += top[2]


def _opened(item):
    """The tag of a list, tuple or mapping, and what is in it, copied, since other threads may change it."""
    if not isinstance(item, (list, tuple)):
        pairs = list(item.items())
        return b"d", [each for key, value in pairs for each in (_key(key), value)]
    base = list if isinstance(item, list) else tuple
    return b"l", base.__getitem__(item, slice(None))


def _packed(inner, room):
    """Numbers of one type: the head and the bytes, if that is what these are."""
    kinds = set(map(type, inner))
    if kinds != {int} and kinds != {float}:
        return None
    if 8 * len(inner) > room:
        raise TooLarge
    try:
        tag, numbers = (b"q", array("q", inner)) if kinds == {int} else (b"e", array("d", inner))
    except OverflowError:
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return _tagged_count(tag, len(inner)), numbers.tobytes()


def _key(key):
    """A key as Hark has it."""
    found = key if isinstance(key, (str, int, float)) else plain_value(key)
    if found is None or isinstance(found, float) and found != found:
        raise Refused(key, is_key=True)
    return found


def _other(item, bytes_max, objects):
    """The bytes of a value of any other type, and how many they are with what follows the message."""
    base = plain_value(item)
    if base is None:
        if objects is None:
            raise Refused(item)
        return objects.add(item, bytes_max)
    try:
        data = b"".join(_encode(base, bytes_max))
    except Refused:
        raise Refused(item) from None
    return data, len(data)


def plain_value(item):
    """A value of Hark's own types that this one stands for, if there is one: a subclass counts as its base, and a number as
    what Python's abstract classes say that it is. (A fraction is a real number too, but no float is the same.)
    """
    if isinstance(item, int):
        return int.__int__(item)
    if isinstance(item, float):
        return float.__float__(item)
    if isinstance(item, str):
        return str.__str__(item)
    if name_of_type(type(item)) in ("numpy.bool", "numpy.bool_"):
        return bool(item)
    # Whatever is registered as a number has loaded this module.
    numbers = sys.modules.get("numbers")
    if numbers is not None:
        if isinstance(item, numbers.Integral):
            return int(item)
        if isinstance(item, numbers.Real) and not isinstance(item, numbers.Rational):
            return float(item)
    return None


def _utf8(text):
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Refused(text) from None


def type_name(value):
    return name_of_type(type(value))


def name_of_type(kind):
    """A type's name as Python's own messages show it."""
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return "%s.%s" % (kind.__module__, kind.__qualname__)
