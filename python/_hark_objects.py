"""Objects: values of Python that Hark has no kind of its own for. They are pickled when they leave a call, and read again
for each call that they are given to.
"""
import struct

from _hark_modules import import_standard
from _hark_values import Refused, TooLarge, name_of_type

# A pickle's text is shown if it is short, and so is the pickle.
SHOWN_PICKLE_MAX = 4_096
SHOWN_TEXT_MAX = 40

# Parts of a pickle up to this length are joined before they are sent; longer ones are not copied.
JOINED_MAX = 1 << 16

_tagged_number = struct.Struct("<cI").pack


class UnreadableObject(Exception):
    """An argument that cannot be made from its pickle again; the text says which and why, `kind` what it is of."""

    def __init__(self, shown, kind, why):
        super().__init__(
            "its argument %s: it cannot be made again from its pickle: %s; bring back what `%s` was when it was pickled"
            % (shown, why, kind)
        )


class Pickled:
    """An object on its way to Hark."""

    def __init__(self, item):
        self.parts = []
        self.size = 0
        pickler = import_standard("_pickle").Pickler(self, 5)
        pickler.dump(item)
        self.type = name_of_type(type(item))
        self.text = _text_of(item) if self.size < SHOWN_PICKLE_MAX else None

    def write(self, data):
        """Takes a part of the pickle. A large array is not copied: it is sent before anything else can change it."""
        data = memoryview(data.raw() if hasattr(data, "raw") else data)
        self.parts.append(data)
        self.size += data.nbytes


class Pickles:
    """The objects of a result."""

    def __init__(self):
        self.found = []
        self.numbers = {}

    def add(self, item, bytes_max):
        """What stands for an object in the result, and how many bytes it takes with its pickle."""
        number = self.numbers.get(id(item))
        if number is not None:
            return _tagged_number(b"O", number), 5
        try:
            pickled = Pickled(item)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
                raise
            raise Refused(item, why=_told(error)) from None
        if pickled.size > bytes_max:
            raise TooLarge
        number = self.numbers[id(item)] = len(self.found)
        # With the object, so that no other one gets its id.
        self.found.append((item, pickled))
        return _tagged_number(b"O", number), 5 + pickled.size

    def announced(self):
        """What is said of each before the result."""
        for _, pickled in self.found:
            text = "" if pickled.text is None else pickled.text
            yield b"O" + bytes([pickled.text is not None])
            yield from map(_sized, (pickled.type, text))
            yield pickled.size.to_bytes(4, "little")

    def parts(self):
        """What follows the message: the pickles, one after another."""
        small, size = [], 0
        for _, pickled in self.found:
            for part in pickled.parts:
                if part.nbytes > JOINED_MAX:
                    if small:
                        yield b"".join(small)
                        small, size = [], 0
                    yield part
                    continue
                small.append(part)
                size += part.nbytes
                if size > JOINED_MAX:
                    yield b"".join(small)
                    small, size = [], 0
        if small:
            yield b"".join(small)


class Given:
    """The objects of a call's arguments, whose pickles have been read."""

    def __init__(self, table, read):
        self.pickles = []
        at = 0
        while at < len(table):
            length = int.from_bytes(table[at : at + 4], "little")
            shown, at = _take(table, at + 4)
            kind, at = _take(table, at)
            self.pickles.append([shown.decode(), kind.decode(), read(length)])

    def make(self, number):
        """Each object is made once: the function may change it."""
        shown, kind, pickle = self.pickles[number]
        self.pickles[number] = None
        try:
            return import_standard("_pickle").loads(pickle)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
                raise
            raise UnreadableObject(shown, kind, _told(error)) from None


def _text_of(item):
    """An object's own text, if its class has one and it is short."""
    kind = type(item)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return None
    try:
        text = str(item)
        fits = len(text) <= SHOWN_TEXT_MAX and text.isprintable()
    except Exception:
        return None
    return str.__str__(text) if fits else None


def _told(error):
    kind = name_of_type(type(error))
    try:
        text = str(error)
    except BaseException:
        text = ""
    return kind + (": " + text.splitlines()[0][:300] if text else "")


def _take(data, at):
    end = at + 4 + int.from_bytes(data[at : at + 4], "little")
    return data[at + 4 : end], end


def _sized(text):
    data = text.encode("utf-8", "backslashreplace")
    return len(data).to_bytes(4, "little") + data
