"""Objects: values of Python that Hark has no kind of its own for. They are pickled when they leave a call, and read again
for each call that they are given to.
"""
import struct

from _hark_pickles import Pickle, PickleFile, joined, load, write_file
from _hark_values import Refused, TooLarge, name_of_type

# A pickle's text is shown if it is short, and so is the pickle.
SHOWN_PICKLE_MAX = 4_096
SHOWN_TEXT_MAX = 40

# Pickles from this size on go over in files. Hark has the same number, as `FILE_BYTES_MIN`.
FILE_BYTES_MIN = 1 << 20

_tagged_number = struct.Struct("<cI").pack


class UnreadableObject(Exception):
    """An argument that cannot be made from its pickle again; the text says which and why, `kind` what it is of."""

    def __init__(self, shown, kind, why):
        super().__init__(
            "its argument %s: it cannot be made again from its pickle: %s; bring back what `%s` was when it was pickled"
            % (shown, why, kind)
        )


class Found:
    """An object of a result."""

    def __init__(self, item, pickle):
        # With the object, so that no other one gets its id.
        self.item = item
        self.pickle = pickle
        self.type = name_of_type(type(item))
        self.text = text_of(item) if pickle.size < SHOWN_PICKLE_MAX else None
        # Where its pickle is: behind the message, unless it is put elsewhere.
        self.place = b"\0"


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
        """Puts large pickles into files, but for those of arguments that are as they were."""
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
        """What is said of each before the result."""
        for found in self.found:
            yield b"O" + bytes([found.text is not None])
            yield from map(_sized, (found.type, "" if found.text is None else found.text))
            yield found.pickle.size.to_bytes(4, "little")
            yield found.place

    def parts(self):
        """What follows the message: the other pickles, one after another."""
        return joined(part for found in self.found if found.place == b"\0" for part in found.pickle.stream)


class Given:
    """The objects of a call's arguments. Pickles that follow the message are read at once."""

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
        """Each object is made once: the function may change it."""
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
        """The number of the object whose file holds this pickle."""
        for number, file in enumerate(self.files):
            if file and file.holds(pickle):
                return number
        return None


class Files:
    """The files that this worker writes."""

    def __init__(self, path_start):
        self.path_start = path_start
        self.count = 0

    def write(self, pickle):
        """The number of a new file. There is none if that is impossible: the pickle goes over all the same."""
        if not self.path_start:
            return None
        self.count += 1
        try:
            write_file(self.path_start + b"%d" % self.count, pickle)
        except OSError:
            return None
        return self.count


def text_of(item):
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
