"""The pickles of objects, and the files of large ones.

A pickle is a stream of pickle's protocol 5. The memory of a large array is not part of the stream but follows it, so that a
file can be mapped into memory and the array used in place, without being read or copied:

    HkPb, number of buffers (4 bytes), length of the stream (8 bytes), lengths of the buffers (8 bytes each), the stream,
    the buffers, each at a multiple of 64
"""
import os
import struct

from _hark_modules import import_standard

MAGIC = b"HkPb"
_head = struct.Struct("<4sIQ")

# A smaller array is part of the stream.
BUFFER_BYTES_MIN = 1 << 16
ALIGNMENT = 64

# Parts of a pickle up to this length are joined before they are sent; longer ones are not copied.
JOINED_MAX = 1 << 16

# How much of a file is compared at a time: it fits the processor's cache.
COMPARED_AT_A_TIME = 1 << 18


class Pickle:
    """An object's pickle, in parts. A large array is not copied, because it is written before other code can change it."""

    def __init__(self, item):
        self.size = 0
        self.stream, self.buffers = [], []
        import_standard("_pickle").Pickler(self, 5, buffer_callback=self.is_in_stream).dump(item)
        if self.buffers:
            lengths = [buffer.nbytes for buffer in self.buffers]
            head = _head.pack(MAGIC, len(lengths), self.size) + struct.pack("<%dQ" % len(lengths), *lengths)
            self.size += len(head)
            self.stream.insert(0, memoryview(head))
            for buffer in self.buffers:
                self.write(bytes(-self.size % ALIGNMENT))
                self.write(buffer)

    def is_in_stream(self, buffer):
        """Whether a buffer becomes part of the stream."""
        try:
            data = buffer.raw()
        except BufferError:
            return True
        if data.nbytes < BUFFER_BYTES_MIN:
            return True
        self.buffers.append(data)
        return False

    def write(self, data):
        """Appends a part of the stream, for the pickler."""
        data = memoryview(data.raw() if hasattr(data, "raw") else data)
        self.stream.append(data)
        self.size += data.nbytes

    def parts(self):
        """The whole pickle, with small parts joined."""
        return joined(self.stream)


class PickleFile:
    """A file with a pickle, which never changes."""

    def __init__(self, path, size):
        self.path = path
        self.size = size

    def load(self):
        """Unpickles the object. Its arrays are pages of the file, which are copied when they are written to."""
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mmap = import_standard("mmap")
            try:
                data = mmap.mmap(file, self.size, access=mmap.ACCESS_COPY)
            except OSError:
                # The number of maps and open files per process is limited.
                data = bytearray(self.size)
                _read_into(file, memoryview(data))
        finally:
            os.close(file)
        return load(memoryview(data))

    def holds(self, pickle):
        """Whether the file contains this pickle."""
        if self.size != pickle.size:
            return False
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            whole = bytearray(COMPARED_AT_A_TIME)
            for part in pickle.stream:
                part = part.cast("B")
                for at in range(0, len(part), COMPARED_AT_A_TIME):
                    expected = part[at : at + COMPARED_AT_A_TIME]
                    found = whole if len(expected) == len(whole) else bytearray(len(expected))
                    _read_into(file, memoryview(found))
                    # The bytearray must be on the left: a memoryview compares each byte as an object.
                    if not found == expected:
                        return False
            return True
        finally:
            os.close(file)


def write_file(path, pickle):
    """Writes a new file, or leaves none if that fails."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for part in pickle.parts():
            write_all(file, part)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(file)


def load(data):
    """Unpickles an object. The object may keep and change the memory of its pickle."""
    if bytes(data[:4]) != MAGIC:
        return import_standard("_pickle").loads(data)
    _, count, length = _head.unpack_from(data)
    lengths = struct.unpack_from("<%dQ" % count, data, _head.size)
    at = _head.size + 8 * count
    stream, at = data[at : at + length], at + length
    buffers = []
    for length in lengths:
        at += -at % ALIGNMENT
        buffers.append(data[at : at + length])
        at += length
    return import_standard("_pickle").loads(stream, buffers=buffers)


def joined(parts):
    """The same bytes with small parts joined."""
    small, size = [], 0
    for part in parts:
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


def write_all(file, data):
    """Writes all of the data, usually with a single call."""
    sent = os.write(file, data)
    if sent < len(data):
        view = memoryview(data)
        while sent < len(data):
            sent += os.write(file, view[sent:])


def _read_into(file, view):
    filled = 0
    while filled < len(view):
        count = os.readv(file, [view[filled:]])
        if not count:
            raise EOFError("the file of an object is shorter than it was")
        filled += count
