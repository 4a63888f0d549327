"""The standard streams of a worker: descriptors 0 to 2 and Python's objects for them. They are restored for every call."""
import _operator
import _thread
import errno
import fcntl
import io
import os
import sys
import termios

from _hark_values import type_name

# Outside the range of descriptors that programs use by number, if the process may have so many.
PRIVATE_DESCRIPTORS_MIN = 100, 20, 3

# The answer of FIONREAD for an empty pipe.
_NO_BYTES = bytes(4)

_NAMES = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_objects_of = _operator.itemgetter(*_NAMES)


class _Unclosed(io.BufferedWriter):
    """Can be shared by several text streams, and does not close when one of them is discarded."""

    def close(self):
        self.flush()


class Output(io.TextIOWrapper):
    """Standard output without buffering, so that its order relative to the output of child processes is right.

    While there are several threads, the text of each thread is held back until its line is complete or flushed, as on a
    terminal: `print` writes a line in parts, and lines of different threads must not mix.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.forget_parts()

    def forget_parts(self):
        # Reentrant, because a signal handler may print while its thread is printing.
        self.lock = _thread.RLock()
        # The incomplete line of each thread, as a list of one text. Not keyed by thread id, because ids are reused.
        self.parts = []
        self.own = _thread._local()

    def take_part(self):
        """The incomplete line of this thread, as a list of one text."""
        try:
            return self.own.part
        except AttributeError:
            self.own.part = part = [""]
            self.parts.append(part)
            return part

    def write(self, text):
        if not _thread._count() and not self.parts:
            count = super().write(text)
            super().flush()
            return count
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not " + type_name(text))
        with self.lock:
            part = self.take_part()
            lines, newline, part[0] = (part[0] + text).rpartition("\n")
            if newline:
                super().write(lines + newline)
                super().flush()
        return len(text)

    def flush(self):
        """Flushes the text of this thread."""
        with self.lock:
            if self.parts:
                part = self.take_part()
                text, part[0] = part[0], ""
                super().write(text)
            super().flush()

    def flush_all(self):
        """Flushes the text of all threads."""
        if not self.parts:
            super().flush()
            return
        with self.lock:
            for part in self.parts:
                super().write(part[0])
            super().flush()
            self.parts, self.own = [], _thread._local()


class Streams:
    def __init__(self):
        # Copies from which the descriptors are restored after a call: an empty input, the pipe, Hark's own standard
        # error.
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        self.empty, self.pipe = private_copy(0), private_copy(1)
        try:
            self.errors = private_copy(2)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            # Hark itself has no standard error.
            self.errors = None
        self.output = sys.stdout = sys.__stdout__ = _new_output()
        self.save()

    def close_copies(self):
        """For a process that was forked from the worker."""
        for each in (self.empty, self.pipe, self.errors):
            if each is not None:
                os.close(each)

    def flush(self):
        """Writes all output to the pipe."""
        found = vars(sys).get("stdout")
        if found is not self.output:
            _succeeds(lambda: found.flush())
        try:
            self.output.flush_all()
        except BaseException:
            # It was detached, or its descriptor was closed.
            os.dup2(self.pipe, 1)
            former, self.output = self.output, _new_output()
            self.replace(former, self.output)

    def hold_output(self):
        """Whether the pipe holds output that Hark has not read."""
        return fcntl.ioctl(self.pipe, termios.FIONREAD, _NO_BYTES) != _NO_BYTES

    def save(self):
        self.objects = tuple(map(vars(sys).get, _NAMES))

    def restore(self):
        self.restore_descriptor(self.pipe, 1)
        if self.errors is not None:
            self.restore_descriptor(self.errors, 2)
        try:
            are_same = _objects_of(vars(sys)) == self.objects
        except KeyError:
            # An attribute was deleted.
            are_same = False
        if not are_same:
            vars(sys).update(zip(_NAMES, self.objects))
        if _is_closed(sys.stdin):
            os.dup2(self.empty, 0)
            self.replace(sys.stdin, open(0, closefd=False))
        if _is_closed(sys.stderr):
            self.replace(sys.stderr, open(2, "w", buffering=1, errors="backslashreplace", closefd=False))

    @staticmethod
    def restore_descriptor(kept, number):
        os.dup2(kept, number)
        # The flag belongs to the pipe, and so affects all processes that write to it.
        if not os.get_blocking(kept):
            os.set_blocking(kept, True)

    def replace(self, former, stream):
        self.objects = tuple(stream if each is former else each for each in self.objects)
        for name, each in zip(_NAMES, self.objects):
            if each is stream:
                setattr(sys, name, stream)


def private_copy(descriptor):
    """A copy with a number that programs do not use, which child processes do not inherit."""
    for least in PRIVATE_DESCRIPTORS_MIN:
        try:
            return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)
        except OSError as error:
            # The limit of the process may be lower.
            if error.errno not in (errno.EINVAL, errno.EMFILE) or least == PRIVATE_DESCRIPTORS_MIN[-1]:
                raise


def _new_output():
    raw = io.FileIO(1, "w", closefd=False)
    return Output(_Unclosed(raw), encoding="utf-8", errors="backslashreplace", newline="\n")


def _is_closed(stream):
    return getattr(stream, "closed", False)


def _succeeds(action):
    try:
        action()
        return True
    except BaseException:
        return False
