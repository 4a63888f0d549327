"""What went wrong in a call, as texts: the exception's type, its own text, and a traceback of the user's frames."""
import itertools
import os
import sys

from _hark_modules import import_standard
from _hark_objects import text_of
from _hark_values import CONTAINERS, TooLarge, encode, name_of_type

# What longer texts are cut to; their ends stay.
TEXT_LENGTH_MAX = 10_000
TRACEBACK_LENGTH_MAX = 100_000

# Of an argument that would make all take more bytes only the type is told.
ARGUMENTS_LENGTH_MAX = 40_000

# Bases further up are left out.
CLASSES_MAX = 100

# What else programs call some exceptions.
_OTHER_NAMES = {
    "builtins.OSError": ["builtins.IOError", "builtins.EnvironmentError", "socket.error"],
    "builtins.TimeoutError": ["asyncio.TimeoutError", "concurrent.futures.TimeoutError", "socket.timeout"],
}

_OWN_FILES = ("<hark>/", "<frozen importlib")


def texts_of(error):
    """(type, text, traceback) of any exception, also of one that resists."""
    try:
        kind = str(name_of_type(type(error)))
    except BaseException:
        kind = "exception"
    try:
        text = str(error)
    except BaseException:
        text = "(its text cannot be had: its `__str__` raised an exception too)"
    try:
        traceback = _traceback_of(error)
    except BaseException:
        traceback = "%s: %s\n" % (kind, text)
    return kind, shortened(text, TEXT_LENGTH_MAX), shortened(traceback, TRACEBACK_LENGTH_MAX)


def arguments_of(error):
    """The exception's `args` as the bytes of a list: long texts cut, and what is no value of Hark as a text that says what it
    is."""
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
            # An object, too large, or of a type that resists.
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
    """`<datetime.date 2026-11-26>`, as Hark shows an object; only its type where that has no short text. That of a list may take
    long to make."""
    kind, text = str(name_of_type(type(item))), None
    if has_text and not isinstance(item, CONTAINERS):
        text = text_of(item)
    return "<%s>" % kind if text is None else "<%s %s>" % (kind, text)


def classes_of(error, hark):
    """What a retry has to know, as the bytes of a list: the names of the exception's class and its bases, and in how many
    seconds it asks to be tried again, or None."""
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
    """For a process that has no other way to tell."""
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
    """Without the worker's own frames, and those of the machinery that loads modules and runs coroutines for it."""
    frames = [frame for frame in stack if not frame.filename.startswith(_OWN_FILES)]
    if len(frames) == len(stack):
        return frames
    used = [sys.modules[name] for name in ("importlib", "asyncio") if name in sys.modules]
    folders = tuple(os.path.dirname(module.__file__) + os.sep for module in used if module.__file__)
    return list(itertools.dropwhile(lambda frame: frame.filename.startswith(folders), frames))
