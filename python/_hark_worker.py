"""A worker: reads calls of Python functions from Hark, one after another, and answers each.

A message is its length in four bytes, a tag byte, and its fields; all numbers are little-endian. A call has no length and
comes through the inbox, a socket that preserves message boundaries, unless it is too large for it.
`crates/hark-foreign/src/protocol.rs` is the other side.

    to the worker     H  version (2 bytes), project, python_src,
                         the folder of the module `hark`, origin,
                         the path prefix of its files,
                         and the inbox as a descriptor                 starts the worker
                      C  its number, attempt, lengths of id, target,
                         progress and objects (4 bytes each), id,
                         target, progress, arguments, objects
                      A  the same                                      is a call, sent while the worker may be busy
                      B  its number                                    announces a call over the connection
                      G  (without a length)                            says that the call's output was read
    from the worker   H  version (2 bytes), text: the Python version   is ready
                      U  errno (4 bytes)                               cannot start: a resource has run out
                      P  progress                                      reports the progress of the call
                      S                                                ends without making the call: its modules are outdated
                      R  value                                         the call's result
                      E  type, traceback, message, missing,
                         a list of arguments and classes               the call's error
                      L  message                                       the call's result is too large
                      W  text, and one of these three from its tag on    a warning
                      F  one of these three from its tag on              the pipe is not empty: G must come before
                                                                       a call that was sent ahead is begun
                      O  whether it has a text (1 byte), type, text,
                         length and place of its pickle,
                         and one of these                               an object of the result

An object of a call is the length of its pickle, its text form, its type, and the path of the file with its pickle. The place
of a pickle in a result is 0 for "after the message", 1 for this worker's file with this number (4 bytes), which then belongs
to Hark, and 2 for the pickle of the call's object with this number. Pickles that follow a message are in the same order,
without separators.

*progress* is JSON, the last progress that a try of the call has reported, or empty.

A text has a length prefix of four bytes. *origin* says how the interpreter was chosen. A target is the module, the function,
the function's name in the program, and `keywords` if a hash as last argument means keyword arguments, separated by NULs.
*missing* is the module that was not found, if that is the error.

The other messages go over a socket. It starts as descriptor 0 and is moved away at once; 0 is then empty. Descriptor 1 is a
pipe from the start, so anything written by any code or child process is output of the call. All of it is in the pipe before
the answer is sent.

The parent process is a guard (`crates/hark-foreign/src/guard.rs`): it ends this process, and all processes that it has
started, when Hark is gone or dismisses it. So nothing here watches for that.
"""
import _socket
import _thread
import contextvars
import importlib
import os
import struct
import sys
from types import ModuleType

import _hark_errors as errors
import _hark_refusals as refusals
import _hark_signals as signals
from _hark_loop import EventLoop
from _hark_modules import ProjectModules, import_standard
from _hark_objects import Files, Given, Pickles, UnreadableObject
from _hark_pickles import write_all
from _hark_process import Process
from _hark_streams import Streams, private_copy
from _hark_values import CONTAINERS_MAX, Refused, RefusedArgument, TooLarge, decode, encode, plain_value, type_name

VERSION = 2
CALL_HEAD = struct.Struct("<BIIIIII")
MESSAGE_LENGTH_MAX = 2**30
PROGRESS_LENGTH_MAX = 4_096
# A byte less than a message, for the tag R.
RESULT_LENGTH_MAX = MESSAGE_LENGTH_MAX - 1
READ_LENGTH = 16_384


class NotCallable(Exception):
    """The function cannot be called. The text says why, and follows the function's name."""

    def __init__(self, text, missing_module=""):
        super().__init__(text)
        self.missing_module = missing_module


class Worker:
    def __init__(self):
        self.connection = private_copy(0)
        self.streams = Streams()
        self.modules = ProjectModules()
        self.functions = {}
        # Bytes that were read beyond a message: the beginning of the pickles that follow it.
        self.ahead = b""
        self.is_forked = False
        signals.reset()
        os.register_at_fork(after_in_child=self.forget_hark)
        sys.argv[:] = [""]
        self.process = Process()
        self.loop = EventLoop()
        # The last progress of the call, as JSON.
        self.progress = b""
        # Other threads of the function may report progress as well, but not after the answer.
        self.telling = _thread.RLock()
        # The objects of the result that is being encoded.
        self.objects = Pickles()
        # Whether a call has left changes that cannot be undone.
        self.is_unclean = False
        # Whether Hark must still read the output of the last call.
        self.has_output = False

    def forget_hark(self):
        """For a process that the user's code has forked: it must not answer in place of the worker."""
        self.streams.output.forget_parts()
        if not self.is_forked:
            self.is_forked = True
            # Another thread may have held the lock.
            self.telling = _thread.RLock()
            os.close(self.connection)
            os.close(self.inbox)
            self.streams.close_copies()
            self.process.close_copies()

    # Messages

    def receive(self):
        """A message without its length, empty if Hark is gone."""
        return self.receive_from(os.read(self.connection, READ_LENGTH))

    def receive_with_inbox(self):
        """The same for the message that comes with the inbox."""
        connection = _socket.socket(fileno=self.connection)
        data, others, _, _ = connection.recvmsg(READ_LENGTH, _socket.CMSG_SPACE(struct.calcsize("i")))
        connection.detach()
        for _, _, descriptor in others:
            (received,) = struct.unpack("i", descriptor)
            self.inbox = private_copy(received)
            os.close(received)
        return self.receive_from(data)

    def receive_from(self, data):
        while len(data) < 4:
            more = os.read(self.connection, READ_LENGTH)
            if not more:
                return b""
            data += more
        end = 4 + int.from_bytes(data[:4], "little")
        if len(data) == end:
            return data[4:]
        if len(data) > end:
            self.ahead = data[end:]
            return data[4:end]
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

    def receive_behind(self, length):
        """Bytes that follow a message."""
        if not length:
            return b""
        whole = bytearray(length)
        filled = min(len(self.ahead), length)
        whole[:filled] = self.ahead[:filled]
        self.ahead = self.ahead[filled:]
        view = memoryview(whole)
        while filled < length:
            count = os.readv(self.connection, [view[filled:]])
            if not count:
                raise BrokenPipeError
            filled += count
        return whole

    def send(self, data, behind=()):
        write_all(self.connection, len(data).to_bytes(4, "little") + data)
        for part in behind:
            write_all(self.connection, part)

    def run(self):
        try:
            if self.begin():
                self.serve()
                self.loop.close()
        except (BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
            # Hark is gone, or has dismissed this worker.
            pass

    def begin(self):
        data = self.receive_with_inbox()
        if not data:
            return False
        version = int.from_bytes(data[1:3], "little")
        if data[:1] != b"H" or version != VERSION:
            sys.exit("hark uses version %d of the worker's protocol, this worker version %d" % (version, VERSION))
        project, at = _take(data, 3)
        python_src, at = _take(data, at)
        package, at = _take(data, at)
        origin, at = _take(data, at)
        files, at = _take(data, at)
        self.files = Files(files)
        self.python = "Python %s (`%s`, %s)" % (sys.version.split()[0], sys.executable or "?", origin.decode())
        if package:
            sys.path.insert(0, os.fsdecode(package))
        # Before the project's folders are on the path. Without a folder, the module was loaded with the worker.
        self.hark = importlib.import_module("hark")
        self.hark._tell_progress = self.tell_progress
        self.hark._read_progress = self.last_progress
        self.modules.enter(os.fsdecode(project), os.fsdecode(python_src))
        self.send(b"H" + VERSION.to_bytes(2, "little") + _text(sys.version.split()[0]))
        return True

    def serve(self):
        while True:
            data = os.read(self.inbox, READ_LENGTH)
            if not data:
                return
            if data[0] == 65:  # A
                if self.has_output and not os.read(self.connection, 1):
                    return
            elif data[0] == 66:  # B
                data = self.receive()
                if not data:
                    return
            elif data[0] != 67:  # C
                sys.exit("hark sent an unknown message")
            if self.is_unclean or self.modules.is_stale():
                self.send(b"S")
                return
            answer = self.answer(data)
            # Otherwise the output of the next call would be mistaken for output of this one.
            self.has_output = self.streams.hold_output()
            if self.has_output:
                answer = b"F" + answer
            while self.modules.warnings:
                answer = b"W" + _text(self.modules.warnings.pop()) + answer
            if self.objects.found:
                self.send(b"".join([*self.objects.announced(), answer]), self.objects.parts())
                self.objects = Pickles()
            else:
                self.send(answer)
            # After the answer is sent, so that nobody waits for it.
            self.clean_up()

    # Calls

    def answer(self, data):
        """Makes a call. There is always exactly one answer, even if the function raises or forks."""
        _, _, attempt, id_length, target_length, progress_length, table_length = CALL_HEAD.unpack_from(data)
        at = CALL_HEAD.size + id_length
        call = data[CALL_HEAD.size : at], attempt
        target = data[at : at + target_length]
        at += target_length
        self.progress = data[at : at + progress_length] if progress_length else b""
        at += progress_length
        # Before anything can fail, because the next message comes after them.
        given = Given(data[len(data) - table_length :], self.receive_behind) if table_length else None
        try:
            function = self.functions.get(target) or self.load(target)
            self.hark._call = call
            parts = contextvars.copy_context().run(self.make_call, function, data, at, given)
            self.streams.flush()
            return b"".join([b"R", *parts])
        except TooLarge:
            self.objects = Pickles()
            self.streams.flush()
            limit = "a result has at most %d bytes, and %d lists and dicts" % (RESULT_LENGTH_MAX, CONTAINERS_MAX)
            return b"L" + _text("%s returned a value that is too large: %s" % (_described(target), limit))
        except BaseException as error:
            if self.is_forked:
                self.end_fork(error)
            self.objects = Pickles()
            texts = self.texts_of_failure(target, error)
            self.streams.flush()
            classes = errors.classes_of(error, self.hark)
            pair = b"l" + struct.pack("<I", 2)
            return b"".join([b"E", *map(_text, texts), pair, errors.arguments_of(error), classes])
        finally:
            with self.telling:
                self.hark._call = None

    def tell_progress(self, value):
        # A forked process has no connection to report it.
        if self.is_forked:
            return
        data = _json(value)
        if len(data) > PROGRESS_LENGTH_MAX:
            raise ValueError("progress is at most %d bytes of JSON, not %d" % (PROGRESS_LENGTH_MAX, len(data)))
        with self.telling:
            # Ignored after the call.
            if self.hark._call is not None:
                self.progress = data
                self.send(b"P" + data)

    def last_progress(self):
        return import_standard("json").loads(self.progress) if self.progress else None

    def make_call(self, function, data, at, given):
        """The encoded result. Pickling also runs user code, so it happens in the same context."""
        self.process.enter_context()
        try:
            result = function(*decode(data, at, given and given.make))
            if hasattr(type(result), "__await__"):
                result = self.loop.run(result)
        finally:
            self.process.signals.disarm()
            if not self.is_forked:
                self.settle()
        if self.is_forked:
            self.end_fork(None)
        parts = encode(result, RESULT_LENGTH_MAX, self.objects)
        if self.objects.found:
            self.objects.put_large(given, self.files)
        return parts

    def settle(self):
        try:
            self.loop.settle()
        except BaseException:
            self.is_unclean = True

    def clean_up(self):
        """Restores the state of the process for the next call."""
        try:
            self.streams.restore()
            self.process.restore()
        except BaseException:
            self.is_unclean = True

    def load(self, target):
        """Finds a function. Changes to the process made by loading its module are kept."""
        function = self.look_up(target)
        self.loop.prepare()
        self.streams.save()
        self.process.save()
        return function

    def look_up(self, target):
        module_name, function_name, _, keywords = _spelled_as_python_does(target.decode()).split("\0")
        try:
            module = self.import_module(module_name)
        except ModuleNotFoundError as error:
            if _is_or_holds(error.name, module_name):
                is_of_hark = error.name.startswith("hark.")
                where = "; `hark` is the module that Hark gives to functions" if is_of_hark else " in " + self.python
                text = "there is no Python module `%s`%s" % (error.name, where)
                raise NotCallable(text, module_name) from None
            raise
        function, path, described = module, module_name, "the Python module `%s`" % module_name
        for name in function_name.split("."):
            try:
                inner = self.attribute_of(function, name)
            except AttributeError:
                hint = self.modules.hint_about_shadow(function) or _nearest(name, function)
                raise NotCallable("%s has no `%s` in %s%s" % (described, name, self.python, hint)) from None
            function, path = inner, path + "." + name
            described = "`%s`" % path
        if not callable(function):
            text = "it is not callable, but a value of type %s" % type_name(function)
            raise NotCallable(text)
        if keywords:
            function = _with_keywords(function)
        self.functions[target] = function
        return function

    def attribute_of(self, owner, name):
        """An attribute. A submodule counts as an attribute of its package, even if it has not been imported yet."""
        try:
            return getattr(owner, name)
        except AttributeError:
            if not isinstance(owner, ModuleType) or not hasattr(owner, "__path__"):
                raise
        whole = owner.__name__ + "." + name
        try:
            return self.import_module(whole)
        except ModuleNotFoundError as error:
            if error.name != whole:
                raise
            raise AttributeError(name) from None

    def import_module(self, name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not _is_or_holds(error.name, name):
                raise
        # Its file may be newer than Python's cached listing of the folder.
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def texts_of_failure(self, target, error):
        """The type, traceback and message of a call's error, and the missing module if that is the error. The first two are
        empty if no user code raised it.
        """
        described = _described(target)
        if isinstance(error, NotCallable):
            return "", "", "cannot call %s: %s" % (described, error), error.missing_module
        if isinstance(error, RefusedArgument):
            return "", "", "%s cannot be given %s" % (described, error), ""
        if isinstance(error, UnreadableObject):
            return "", "", "%s cannot be given %s" % (described, error), ""
        if isinstance(error, Refused):
            return "", "", "%s returned %s" % (described, refusals.told(error)), ""
        kind, text, traceback = errors.texts_of(error)
        verb = "raised" if target in self.functions else "cannot be loaded: its module raised"
        message = "%s %s %s" % (described, verb, kind)
        message += ": " + text if text else ""
        missing = error.name if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str) else ""
        message += "; this is " + self.python if missing else self.modules.hint_about_import(error)
        return kind, traceback, message, missing

    def end_fork(self, error):
        """Ends a process that the user's code has forked and that has returned from the call."""
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


def _json(value):
    """A value as JSON. Numbers of other types, such as numpy's, count as ints and floats."""

    def plain(other):
        found = plain_value(other)
        if found is None:
            raise TypeError("progress must be a JSON value, not a %s" % type_name(other))
        return found

    text = import_standard("json").dumps(value, ensure_ascii=False, allow_nan=False, default=plain)
    return text.encode("utf-8", "replace")


def _described(target):
    module, function, name, _ = target.decode().split("\0")
    whole = "`%s.%s`" % (module, function)
    return whole if name in (function, module + "." + function) else "`%s` (%s)" % (name, whole)


def _spelled_as_python_does(text):
    """Normalizes identifiers as Python does: `é` may be one character or two."""
    return text if text.isascii() else import_standard("unicodedata").normalize("NFKC", text)


def _with_keywords(function):
    """The function that an import with `#[kwargs]` calls."""

    def call(*arguments):
        if not arguments or not isinstance(arguments[-1], dict):
            return function(*arguments)
        *arguments, keywords = arguments
        for key in keywords:
            if not isinstance(key, str):
                raise RefusedArgument("`%r` as the name of a keyword argument, which must be a string" % (key,))
        return function(*arguments, **keywords)

    return call


def _is_or_holds(name, module_name):
    """Whether this is the name of the module or of a package that contains it."""
    return name is not None and (module_name + ".").startswith(name + ".")


def _nearest(name, owner):
    try:
        near = import_standard("difflib").get_close_matches(name, [each for each in dir(owner) if not each.startswith("__")], 1)
    except Exception:
        # `dir` may run user code.
        return ""
    return "; did you mean `%s`?" % near[0] if near else ""


def _take(data, at):
    end = at + 4 + int.from_bytes(data[at : at + 4], "little")
    return data[at + 4 : end], end


def _text(text):
    data = text.encode("utf-8", "backslashreplace")
    return len(data).to_bytes(4, "little") + data
