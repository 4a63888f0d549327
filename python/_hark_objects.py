"""Objects: Python values without a Hark type of their own. They are pickled when they leave a call, and unpickled for each call
that gets them as arguments.
"""
import struct

from _hark_pickles import Pickle, PickleFile, joined, load, write_file
from _hark_values import Refused, TooLarge, name_of_type

# The text of an object is shown if both the text and the pickle are short.
SHOWN_PICKLE_MAX = 4_096
SHOWN_TEXT_MAX = 40

# Pickles of at least this size are passed in files. Hark has the same constant, `FILE_BYTES_MIN`.
FILE_BYTES_MIN = 1 << 20

_tagged_number = struct.Struct("<cI").pack


class UnreadableObject(Exception):
    """An argument that cannot be unpickled; the text says which one and why, and names its type."""

    def __init__(self, shown, kind, why):
        super().__init__(
            "its argument %s: it cannot be unpickled: %s; restore the definition of `%s` that was used when it was pickled"
            % (shown, why, kind)
        )


class Found:
    """An object of a result."""

    def __init__(self, item, pickle):
        # Keeps the object alive, so that its id stays unique.
        self.item = item
        self.pickle = pickle
        self.type = name_of_type(type(item))
        self.text = text_of(item) if pickle.size < SHOWN_PICKLE_MAX else None
        # The place of its pickle: after the message, unless it is put elsewhere.
        self.place = b"\0"


class Pickles:
    """The objects of a result."""

    def __init__(self):
        self.found = []
        self.numbers = {}

    def add(self, item, bytes_max):
        """The encoding of an object in the result, and its size including the pickle."""
        number = self.numbers.get(id(item))
        if number is not None:
            return _tagged_number(b"O", number), 5
        try:
            pickle = Pickle(item)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
                raise
            raise Refused(item, why=_told(error)) from None
        if pickle.size > bytes_max:
            raise TooLarge
        number = self.numbers[id(item)] = len(self.found)
        self.found.append(Found(item, pickle))
        return _tagged_number(b"O", number), 5 + pickle.size

    def put_large(self, given, files):
        """Puts large pickles into files, except those of unchanged arguments."""
        for found in self.found:
            if found.pickle.size < FILE_BYTES_MIN:
                continue
            number = given.find(found.pickle) if given else None
            if number is not None:
                found.place = b"\2" + number.to_bytes(4, "little")
                continue
            number = files.write(found.pickle)
            if number is not None:
                found.place = b"\1" + number.to_bytes(4, "little")

    def announced(self):
        """The descriptions of the objects, which precede the result."""
        for found in self.found:
            yield b"O" + bytes([found.text is not None])
            yield from map(_sized, (found.type, "" if found.text is None else found.text))
            yield found.pickle.size.to_bytes(4, "little")
            yield found.place

    def parts(self):
        """The pickles that follow the message, in order."""
        return joined(part for found in self.found if found.place == b"\0" for part in found.pickle.stream)


class Given:
    """The objects of a call's arguments. Pickles that follow the message are read immediately."""

    def __init__(self, table, read):
        self.pickles = []
        self.files = []
        at = 0
        while at < len(table):
            length = int.from_bytes(table[at : at + 4], "little")
            shown, at = _take(table, at + 4)
            kind, at = _take(table, at)
            path, at = _take(table, at)
            file = PickleFile(path, length) if path else None
            self.files.append(file)
            self.pickles.append([shown.decode(), kind.decode(), None if file else read(length)])

    def make(self, number):
        """Unpickles an object. Each occurrence has its own number, so this happens once per number."""
        shown, kind, pickle = self.pickles[number]
        self.pickles[number] = None
        file = self.files[number]
        try:
            return file.load() if file else load(pickle)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
                raise
            raise UnreadableObject(shown, kind, _told(error)) from None

    def find(self, pickle):
        """The number of the object whose file contains this pickle, or None."""
        for number, file in enumerate(self.files):
            if file and file.holds(pickle):
                return number
        return None


class Files:
    """The files written by this worker."""

    def __init__(self, path_start):
        self.path_start = path_start
        self.count = 0

    def write(self, pickle):
        """Writes a new file and returns its number. Returns None if that fails: the pickle is then sent over the connection."""
        if not self.path_start:
            return None
        self.count += 1
        try:
            write_file(self.path_start + b"%d" % self.count, pickle)
        except OSError:
            return None
        return self.count


def text_of(item):
    """An object's text, if its class defines one and it is short."""
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
