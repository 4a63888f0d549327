"""The error of a call, as texts: the exception's type, its message, and a traceback of the user's frames."""
import itertools
import os
import sys

from _hark_modules import import_standard
from _hark_objects import text_of
from _hark_values import CONTAINERS, TooLarge, encode, name_of_type

# Longer texts are shortened in the middle.
TEXT_LENGTH_MAX = 10_000
TRACEBACK_LENGTH_MAX = 100_000

# Beyond this total size, only the types of further arguments are sent.
ARGUMENTS_LENGTH_MAX = 40_000

# The number of classes, counted from the exception's own, that are sent.
CLASSES_MAX = 100

# Other names that programs use for some exceptions.
_OTHER_NAMES = {
    "builtins.OSError": ["builtins.IOError", "builtins.EnvironmentError", "socket.error"],
    "builtins.TimeoutError": ["asyncio.TimeoutError", "concurrent.futures.TimeoutError", "socket.timeout"],
}

_OWN_FILES = ("<hark>/", "<frozen importlib")


def texts_of(error):
    """(type, text, traceback) of any exception, even if its methods raise."""
    try:
        kind = str(name_of_type(type(error)))
    except BaseException:
        kind = "exception"
    try:
        text = str(error)
    except BaseException:
        text = "(no text: its `__str__` raised an exception)"
    try:
        traceback = _traceback_of(error)
    except BaseException:
        traceback = "%s: %s\n" % (kind, text)
    return kind, shortened(text, TEXT_LENGTH_MAX), shortened(traceback, TRACEBACK_LENGTH_MAX)


def arguments_of(error):
    """The exception's `args` as the bytes of a list. Long texts are shortened; an argument that is not a Hark value is replaced
    by a description."""
    try:
        arguments = tuple(error.args)
    except BaseException:
        arguments = ()
    kept, size = [], 0
    for argument in arguments:
        try:
            argument = shortened(argument, TEXT_LENGTH_MAX) if isinstance(argument, str) else argument
            size += _length_of(argument, size)
            kept.append(argument)
        except BaseException as error:
            # An object, too large, or of a type whose methods raise.
            try:
                argument = _shown(argument, has_text=not isinstance(error, TooLarge))
                size += _length_of(argument, size)
                kept.append(argument)
            except BaseException:
                pass
    return b"".join(encode(kept, 2 * ARGUMENTS_LENGTH_MAX))


def _length_of(argument, size):
    return sum(map(len, encode(argument, ARGUMENTS_LENGTH_MAX - size)))


def _shown(item, has_text):
    """`<datetime.date 2026-11-26>`, as Hark shows an object; only its type if it has no short text. Containers are never
    converted to text, because that may take long."""
    kind, text = str(name_of_type(type(item))), None
    if has_text and not isinstance(item, CONTAINERS):
        text = text_of(item)
    return "<%s>" % kind if text is None else "<%s %s>" % (kind, text)


def classes_of(error, hark):
    """Information for retries, as the bytes of a list: the names of the exception's class and its bases, and the delay in
    seconds that it asks for, or None."""
    try:
        names = []
        for each in type(error).__mro__[:CLASSES_MAX]:
            name = "%s.%s" % (each.__module__, each.__qualname__)
            names += [shortened(name, TEXT_LENGTH_MAX), *_OTHER_NAMES.get(name, ())]
        after = error.after if isinstance(error, hark.Retry) else None
        known = [names, float(after) if after is not None else None]
        return b"".join(encode(known, ARGUMENTS_LENGTH_MAX))
    except BaseException:
        return b"".join(encode([[], None], ARGUMENTS_LENGTH_MAX))


def shortened(text, length_max):
    if len(text) <= length_max:
        return text
    half = length_max // 2
    return "%s\n... %d characters left out ...\n%s" % (text[:half], len(text) - 2 * half, text[-half:])


def print_traceback(error):
    """Prints a traceback, for a process that has no other way to report an error."""
    sys.stderr.write(texts_of(error)[2])
    sys.stderr.flush()


def _traceback_of(error):
    traceback = import_standard("traceback")
    whole = traceback.TracebackException(type(error), error, error.__traceback__)
    open_parts, seen = [whole], set()
    while open_parts:
        part = open_parts.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list(_users_frames(part.stack))
        open_parts += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
    lines = list(whole.format())
    if not whole.stack and lines and lines[0].startswith("Traceback"):
        del lines[0]
    return "".join(lines)


def _users_frames(stack):
    """The stack without the worker's own frames and those of `importlib` and `asyncio` directly below them."""
    frames = [frame for frame in stack if not frame.filename.startswith(_OWN_FILES)]
    if len(frames) == len(stack):
        return frames
    used = [sys.modules[name] for name in ("importlib", "asyncio") if name in sys.modules]
    folders = tuple(os.path.dirname(module.__file__) + os.sep for module in used if module.__file__)
    return list(itertools.dropwhile(lambda frame: frame.filename.startswith(folders), frames))
