"""The encoding of values, in both directions; `crates/hark-foreign/src/values.rs` is the other side.

A value is a tag followed by its contents, all little-endian:

    N T F                 null, true, false
    i <8 bytes>           an integer of 64 bits
    I <length> <bytes>    any other integer, two's complement
    f <8 bytes>           a float
    s <length> <bytes>    a string in UTF-8
    l <count> values      a list
    q, e <count> <bytes>  a list of 64-bit integers, of floats
    d <count> values      a dict: key, value, key, value
    O <number>            an object: its index among those of the message

Lengths and counts have four bytes. Nothing here is recursive: nesting is limited only by memory.
"""
import struct
import sys
from _collections_abc import Mapping
from array import array
from itertools import islice

# Lists of at least this length are checked for numbers of a single type, which are packed.
PACKED_LENGTH_MIN = 16

# The maximum number of lists and dicts in an encoded value. A container that occurs many times at many levels is small
# in memory and in bytes, but encoding it takes long.
CONTAINERS_MAX = 50_000_000

# How many of them are encoded before all are counted.
CONTAINERS_UNMEASURED = 100_000

# Texts up to this length always fit.
SHORT_LENGTH_MAX = 1000

# How many parts of an encoded value are joined at a time: separate parts take several times their size in memory.
PARTS_JOINED = 1 << 14

# The maximum number of bits of an integer in Hark.
INTEGER_BITS_MAX = 16_777_216

# The types that become lists and hashes.
CONTAINERS = (list, tuple, dict, Mapping)

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_read_integer = struct.Struct("<q").unpack_from
_read_float = struct.Struct("<d").unpack_from
_read_count = struct.Struct("<I").unpack_from
_tagged_integer = struct.Struct("<cq").pack
_tagged_float = struct.Struct("<cd").pack
_tagged_count = struct.Struct("<cI").pack


class Refused(Exception):
    """A result that is not a valid Hark value because of `culprit`, a value in it or a dict's key. If it cannot be pickled, `why`
    says so.
    """

    def __init__(self, culprit, is_key=False, why=""):
        super().__init__()
        self.value = self.culprit = culprit
        self.is_key = is_key
        self.why = why


class TooLarge(Exception):
    """A result with too many bytes, or too many lists and dicts."""


class RefusedArgument(Exception):
    """An argument that has no Python equivalent; the text describes it."""


def decode(data, at, objects=None):
    """Decodes the value that begins at this index; `objects` returns an object by its number."""
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
        # In Hark, 1 and true are different keys; a dict would silently lose one of them.
        raise RefusedArgument("a hash with keys that are equal in Python, such as `1` and `true`")
    return result


def encode(value, bytes_max, objects=None):
    """The bytes of a value, in parts. A value without a Hark type is added to `objects`, if given.

    Raises Refused if it is not a valid Hark value, and TooLarge as soon as it is clear that it has more than `bytes_max`
    bytes; until then it has used about as much memory.
    """
    # Most results are of these types.
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
    # The rest of the limit after the joined parts, and after the long parts that were added since. Short parts, of at
    # most nine bytes, are counted when they are joined.
    room_joined = room = bytes_max
    containers = 0
    # The containers around the current one: their remaining items, and their ids, to find cycles.
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
    """Raises TooLarge if a value contains too many lists and dicts. Each is counted as often as it occurs, but visited
    only once.
    """
    counts = {}
    # The open containers: id, remaining items, and the count so far.
    path = [[id(value), iter(_opened(value)[1]), 1]]
    while path:
        top = path[-1]
        for item in top[1]:
            if not isinstance(item, CONTAINERS):
                continue
            count = counts.get(id(item))
            if count is None:
                # A cycle is found when it is encoded.
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
    """The tag of a list, tuple or mapping, and a copy of its items, because other threads may change it."""
    if not isinstance(item, (list, tuple)):
        pairs = list(item.items())
        return b"d", [each for key, value in pairs for each in (_key(key), value)]
    base = list if isinstance(item, list) else tuple
    return b"l", base.__getitem__(item, slice(None))


def _packed(inner, room):
    """The head and the bytes of a list of numbers of a single type; None for other lists."""
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
    """The key in Hark."""
    found = key if isinstance(key, (str, int, float)) else plain_value(key)
    if found is None or isinstance(found, float) and found != found:
        raise Refused(key, is_key=True)
    return found


def _other(item, bytes_max, objects):
    """The bytes of a value of any other type, and their number including the pickle."""
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
    """The value of a Hark type that this value stands for, or None: an instance of a subclass counts as one of its base, and a
    number as an int or float according to Python's abstract classes. (A fraction is a real number, but no float equals it.)
    """
    if isinstance(item, int):
        return int.__int__(item)
    if isinstance(item, float):
        return float.__float__(item)
    if isinstance(item, str):
        return str.__str__(item)
    if name_of_type(type(item)) in ("numpy.bool", "numpy.bool_"):
        return bool(item)
    # Registering a number type loads this module.
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
    """A type's name, as in Python's own messages."""
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return "%s.%s" % (kind.__module__, kind.__qualname__)
