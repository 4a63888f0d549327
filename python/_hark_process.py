"""What of its process a call may change, and how the next call gets it back.

Loading a module is part of setting a worker up: what that changes stays, such as a recursion limit that a module raises.
What a function changes ends with its call. `docs/guide/python.md` lists what is put back and what is not.
"""
import _locale
import _signal
import gc
import os
import signal
import sys

from _hark_streams import private_copy

_locale_of_start = _locale.setlocale(_locale.LC_ALL, None)


def _locale_text():
    # Without the module, nobody has set it.
    return _locale.setlocale(_locale.LC_ALL, None) if "locale" in sys.modules else _locale_of_start


def _set_locale(text):
    _locale.setlocale(_locale.LC_ALL, text)


# (what reads a setting, what sets it)
_SETTINGS = [
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.getswitchinterval, sys.setswitchinterval),
    (gc.isenabled, lambda is_on: gc.enable() if is_on else gc.disable()),
    (_locale_text, _set_locale),
    (
        lambda: _signal.pthread_sigmask(_signal.SIG_BLOCK, ()),
        lambda mask: _signal.pthread_sigmask(_signal.SIG_SETMASK, mask),
    ),
]
if hasattr(sys, "set_int_max_str_digits"):
    _SETTINGS.append((sys.get_int_max_str_digits, sys.set_int_max_str_digits))

# Without those for real time, which cost as much as all others together, and which nobody uses.
_SIGNALS = [int(each) for each in signal.valid_signals() if each < 32 and each not in (signal.SIGKILL, signal.SIGSTOP)]


class Process:
    """The state in which every call finds its process."""

    def __init__(self):
        self.folder = None
        self.save()

    def save(self):
        """Takes the state as it is for the one that each call is to find."""
        self.settings = [(read, write, read()) for read, write in _SETTINGS]
        self.handlers = list(map(_signal.getsignal, _SIGNALS))
        self.wakeup = _signal.set_wakeup_fd(-1)
        _signal.set_wakeup_fd(self.wakeup)
        # One that comes again and again serves more than a call, such as a profiler.
        self.ends_alarm = not _signal.getitimer(_signal.ITIMER_REAL)[1]
        self.timers = [each for each in (_signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF) if not _signal.getitimer(each)[1]]
        self.umask = os.umask(0o077)
        os.umask(self.umask)
        self.arguments = sys.argv, list(sys.argv)
        self.environment = os.environ, _copied(os.environ)
        self.socket_timeout = _socket_timeout()
        self.decimal = sys.modules.get("decimal")
        self.save_folder()

    def save_folder(self):
        """As an open descriptor: then it does not matter what becomes of its name."""
        former, self.folder = self.folder, None
        try:
            opened = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
            self.folder = private_copy(opened)
            os.close(opened)
        except OSError:
            # It may not be read. Then a call that leaves it is not brought back.
            pass
        if former is not None:
            os.close(former)

    def close_copies(self):
        """In a process that was forked from the worker."""
        if self.folder is not None:
            os.close(self.folder)

    def enter_context(self):
        """In a call's own context: `decimal` keeps its settings in an object, which the copied context shares."""
        if self.decimal is not None:
            self.decimal.setcontext(self.decimal.getcontext().copy())

    def disarm(self):
        """At once when a function has returned: an alarm's handler may raise, or there is none and it kills."""
        if self.ends_alarm:
            _signal.alarm(0)

    def restore(self):
        """Raises what stands in its way: a worker that cannot be restored is to end."""
        if list(map(_signal.getsignal, _SIGNALS)) != self.handlers:
            self.restore_handlers()
        for read, write, value in self.settings:
            if read() != value:
                write(value)
        if self.folder is not None:
            os.fchdir(self.folder)
        os.umask(self.umask)
        sys.argv, sys.argv[:] = self.arguments
        environ, values = self.environment
        os.environ = environ
        if _bytes_of(environ) != values:
            _restore_environment(environ, values)
        if _socket_timeout() != self.socket_timeout:
            sys.modules["_socket"].setdefaulttimeout(self.socket_timeout)

    def restore_handlers(self):
        _signal.set_wakeup_fd(self.wakeup)
        # Timers of processor time are of no use without a handler.
        for each in self.timers:
            _signal.setitimer(each, 0)
        for number, handler in zip(_SIGNALS, self.handlers):
            if _signal.getsignal(number) != handler:
                _signal.signal(number, handler)


def _bytes_of(environ):
    """The bytes that stand behind `os.environ`: comparing them costs far less than comparing texts."""
    return getattr(environ, "_data", None)


def _copied(environ):
    values = _bytes_of(environ)
    return None if values is None else dict(values)


def _restore_environment(environ, values):
    for key in [each for each in environ if os.fsencode(each) not in values]:
        del environ[key]
    for key, value in values.items():
        environ[os.fsdecode(key)] = os.fsdecode(value)


def _socket_timeout():
    module = sys.modules.get("_socket")
    return module.getdefaulttimeout() if module else None
