"""A worker: takes calls of Python functions from Hark, one after the other, and answers each.

A message is its length in four bytes, a byte that says what it is, and its fields; all numbers are little-endian.
`crates/hark-foreign/src/protocol.rs` is the other side.

    to the worker     H  version (2 bytes), project, python_src, origin   begins
                      C  attempt, length of id, length of target (4 bytes each), id, target, arguments
    from the worker   H  version (2 bytes), text: the Python version   is ready
                      U  errno (4 bytes)                               cannot start: the system refused something
                      S                                                does not make the call, and ends: it has old modules
                      R  value                                         the call's result
                      E  type, text, traceback, message, missing       the call's error

A text has its length in four bytes before it. *origin* says how the interpreter was chosen. A target is module, function,
the program's own name for it, and `keywords` if a last argument that is a hash is keyword arguments, with NULs between.
*missing* is the module that was not found, if that is what went wrong.

The messages go over a socket that is descriptor 0 at first and moved away at once; 0 then is empty. Descriptor 1 is a
pipe from the beginning, so what any code or child process writes is output of the call. All of it is in the pipe before
the answer is sent.

The parent process is a guard (`crates/hark-foreign/src/guard.rs`): it ends this process, and whatever that has started,
when Hark is gone or wants it gone. So nothing here watches for that.
"""
import _thread
import errno
import fcntl
import importlib
import io
import os
import signal
import struct
import sys
import time

import _hark_errors as errors
import hark
from _hark_values import CONTAINERS_MAX, Refused, RefusedArgument, TooLarge, decode, encode, type_name

VERSION = 1
CALL_HEAD = struct.Struct("<BIII")
MESSAGE_LENGTH_MAX = 2**30
# Of the message with a result, R takes a byte.
RESULT_LENGTH_MAX = MESSAGE_LENGTH_MAX - 1
READ_LENGTH = 16_384

# How often a worker looks whether modules have changed, at most.
LOOK_SECONDS = 0.2

# Outside of the descriptors that programs use by number, if the process may have so many.
PRIVATE_DESCRIPTORS_MIN = 100, 20, 3


IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


class NotCallable(Exception):
    """There is no such function; the text says why, after the function's name."""

    def __init__(self, text, missing_module=""):
        super().__init__(text)
        self.missing_module = missing_module


class Output(io.TextIOWrapper):
    """Standard output that holds nothing back, so that its order with what child processes write is right.

    While there are several threads, each one's text is held back until its line is complete or flushed, as on a terminal:
    `print` writes a line in parts, and lines of different threads must not mix.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.forget_parts()

    def forget_parts(self):
        # In a signal handler the thread that prints may print once more.
        self.lock = _thread.RLock()
        # Each thread's part of a line, in a list of its own; the number of a thread may be another one's next.
        self.parts = []
        self.own = _thread._local()

    def take_part(self):
        """What is held back of this thread's text, in a list."""
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
        """What this thread has written."""
        with self.lock:
            if self.parts:
                part = self.take_part()
                text, part[0] = part[0], ""
                super().write(text)
            super().flush()

    def flush_all(self):
        """What any thread has written."""
        with self.lock:
            for part in self.parts:
                super().write(part[0])
            super().flush()
            self.parts, self.own = [], _thread._local()


class Worker:
    def __init__(self):
        self.connection = _private(0)
        self.pipe = _private(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self.functions = {}
        # The folders of the project's modules, the files of those that are loaded, and when to look at them next.
        self.folders = ()
        self.files = {}
        self.began = time.time()
        self.next_look = 0
        self.is_forked = False
        _reset_signals()
        self.open_output()
        os.register_at_fork(after_in_child=self.forget_hark)

    def open_output(self):
        raw = io.FileIO(1, "w", closefd=False)
        output = Output(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", newline="\n")
        self.output = sys.stdout = sys.__stdout__ = output

    def forget_hark(self):
        """In a process that the user's code forked: it must not answer in this one's place."""
        self.output.forget_parts()
        if not self.is_forked:
            self.is_forked = True
            os.close(self.connection)
            os.close(self.pipe)

    # Messages

    def receive(self):
        """A message without its length, or nothing when Hark is gone."""
        data = os.read(self.connection, READ_LENGTH)
        while len(data) < 4:
            more = os.read(self.connection, READ_LENGTH)
            if not more:
                return b""
            data += more
        end = 4 + int.from_bytes(data[:4], "little")
        if len(data) == end:
            return data[4:]
        return self.receive_rest(data, end)

    def receive_rest(self, data, end):
        whole = bytearray(end)
        whole[: len(data)] = data
        view, filled = memoryview(whole), len(data)
        while filled < end:
            count = os.readv(self.connection, [view[filled:]])
            if not count:
                return b""
            filled += count
        return bytes(view[4:])

    def send(self, data):
        data = len(data).to_bytes(4, "little") + data
        sent = os.write(self.connection, data)
        if sent < len(data):
            view = memoryview(data)
            while sent < len(data):
                sent += os.write(self.connection, view[sent:])

    def run(self):
        try:
            if self.begin():
                self.serve()
        except (BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
            # Hark is gone, or wants this worker gone.
            pass

    def begin(self):
        data = self.receive()
        if not data:
            return False
        version = int.from_bytes(data[1:3], "little")
        if data[:1] != b"H" or version != VERSION:
            sys.exit("hark speaks version %d of the worker's protocol, this worker version %d" % (version, VERSION))
        project, at = _take(data, 3)
        python_src, at = _take(data, at)
        origin, at = _take(data, at)
        self.python = "Python %s (`%s`, %s)" % (sys.version.split()[0], sys.executable or "?", origin.decode())
        own = [os.fsdecode(project), os.fsdecode(python_src)]
        self.folders = tuple(os.path.join(folder, "") for folder in own)
        sys.path[:] = [*own, *(each for each in sys.path if each not in own)]
        sys.argv[:] = [""]
        self.send(b"H" + VERSION.to_bytes(2, "little") + _text(sys.version.split()[0]))
        return True

    def serve(self):
        while True:
            data = self.receive()
            if not data:
                return
            if data[0] == 67:  # C
                if self.is_stale():
                    self.send(b"S")
                    return
                self.send(self.answer(data))
            else:
                sys.exit("hark sent a message that this worker does not know")

    # Modules

    def is_stale(self):
        """Whether the project's modules have changed since they were loaded."""
        now = time.monotonic()
        if now < self.next_look:
            return False
        self.next_look = now + LOOK_SECONDS
        for module in list(sys.modules.values()):
            path = _file_of(module)
            if isinstance(path, str) and path.startswith(self.folders) and self.has_changed(path):
                return True
        return False

    def has_changed(self, path):
        try:
            found = os.stat(path)
        except OSError:
            # It may come back; until then this is what there is.
            return False
        known = found.st_mtime_ns, found.st_size
        if path in self.files:
            return self.files[path] != known
        self.files[path] = known
        # One with a time that is still to come would be new for ever.
        return self.began < found.st_mtime <= time.time()

    # Calls

    def answer(self, data):
        """Makes a call. Whatever it does, there is an answer, and in this process only."""
        _, attempt, id_length, target_length = CALL_HEAD.unpack_from(data)
        at = CALL_HEAD.size + id_length
        call = data[CALL_HEAD.size : at], attempt
        target = data[at : at + target_length]
        try:
            function = self.functions.get(target) or self.look_up(target)
            arguments = decode(data, at + target_length)
            hark._call = call
            result = function(*arguments)
            if hasattr(type(result), "__await__"):
                result = _run(result)
            if self.is_forked:
                self.end_fork(None)
            parts = encode(result, RESULT_LENGTH_MAX)
            self.end_output()
            return b"".join([b"R", *parts])
        except BaseException as error:
            if self.is_forked:
                self.end_fork(error)
            texts = self.texts_of_failure(target, error)
            self.end_output()
            return b"".join([b"E", *map(_text, texts)])
        finally:
            hark._call = None

    def look_up(self, target):
        module_name, function_name, _, keywords = _spelled_as_python_does(target.decode()).split("\0")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and (module_name + ".").startswith(error.name + "."):
                is_of_hark = error.name.startswith("hark.")
                where = "; `hark` is the module that Hark gives to functions" if is_of_hark else " in " + self.python
                text = "there is no Python module `%s`%s" % (error.name, where)
                raise NotCallable(text, module_name) from None
            raise
        function, path, described = module, module_name, "the Python module `%s`" % module_name
        for name in function_name.split("."):
            try:
                inner = getattr(function, name)
            except AttributeError:
                near = _nearest(name, function)
                raise NotCallable("%s has no `%s` in %s%s" % (described, name, self.python, near)) from None
            function, path = inner, path + "." + name
            described = "`%s`" % path
        if not callable(function):
            text = "it is no function, but a value of type %s" % type_name(function)
            raise NotCallable(text)
        if keywords:
            function = _with_keywords(function)
        self.functions[target] = function
        return function

    def texts_of_failure(self, target, error):
        """Type, text, traceback and message about what a call raised, and the module that is missing if that is why. The
        first three are empty if no user's code raised it.
        """
        described = _described(target)
        if isinstance(error, NotCallable):
            return "", "", "", "cannot call %s: %s" % (described, error), error.missing_module
        if isinstance(error, RefusedArgument):
            return "", "", "", "%s cannot be given %s" % (described, error), ""
        if isinstance(error, Refused):
            return "", "", "", "%s returned %s, which no Hark value can be" % (described, error), ""
        if isinstance(error, TooLarge):
            limit = "a result has at most %d bytes, and %d lists and dicts" % (RESULT_LENGTH_MAX, CONTAINERS_MAX)
            return "", "", "", "%s returned a value that is too large: %s" % (described, limit), ""
        kind, text, traceback = errors.texts_of(error)
        verb = "raised" if target in self.functions else "cannot be loaded: its module raised"
        message = "%s %s %s" % (described, verb, kind)
        message += ": " + text if text else ""
        missing = error.name if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str) else ""
        if missing:
            message += "; this is " + self.python
        return kind, text, traceback, message, missing

    def end_output(self):
        """Holds nothing back of what the call has printed."""
        try:
            self.output.flush_all()
        except BaseException:
            # It was closed, or its descriptor was.
            os.dup2(self.pipe, 1)
            self.open_output()
        if sys.stdout is not self.output:
            try:
                sys.stdout.flush()
            except BaseException:
                sys.stdout = self.output

    def end_fork(self, error):
        """The end of a process that the user's code forked and that came back from the call."""
        status = 0
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            status = error.code or 0
        elif error is not None:
            errors.print_traceback(error)
            status = 1
        try:
            sys.stdout.flush()
        finally:
            os._exit(status)


def _described(target):
    module, function, name, _ = target.decode().split("\0")
    whole = "`%s.%s`" % (module, function)
    return whole if name in (function, module + "." + function) else "`%s` (%s)" % (name, whole)


def _spelled_as_python_does(text):
    """Python takes identifiers that look the same for the same: `é` is one character or two."""
    if text.isascii():
        return text
    import unicodedata

    return unicodedata.normalize("NFKC", text)


def _with_keywords(function):
    """What an import with `#[kwargs]` calls."""

    def call(*arguments):
        if not arguments or not isinstance(arguments[-1], dict):
            return function(*arguments)
        *arguments, keywords = arguments
        for key in keywords:
            if not isinstance(key, str):
                raise RefusedArgument("`%r` as the name of a keyword argument, which must be a string" % (key,))
        return function(*arguments, **keywords)

    return call


def _file_of(module):
    """Without a question to the module itself, which may load others for an answer."""
    try:
        return object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:
        return None


def _nearest(name, owner):
    try:
        import difflib

        near = difflib.get_close_matches(name, [each for each in dir(owner) if not each.startswith("__")], 1)
    except Exception:
        # The project may have a module of this name, and `dir` asks the owner.
        return ""
    return "; did you mean `%s`?" % near[0] if near else ""


def _run(awaitable):
    import asyncio

    async def wait():
        return await awaitable

    return asyncio.run(wait())


def _private(descriptor):
    """The same under a number that programs do not use, which child processes do not get."""
    for least in PRIVATE_DESCRIPTORS_MIN:
        try:
            return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)
        except OSError as error:
            # The process may have fewer.
            if error.errno != errno.EINVAL or least == PRIVATE_DESCRIPTORS_MIN[-1]:
                raise


def _take(data, at):
    end = at + 4 + int.from_bytes(data[at : at + 4], "little")
    return data[at + 4 : end], end


def _text(text):
    data = text.encode("utf-8", "backslashreplace")
    return len(data).to_bytes(4, "little") + data


def _reset_signals():
    """Whoever started Hark may have ignored or blocked some: a shell does so in the background, `nohup`, a test runner."""
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN and number not in IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
