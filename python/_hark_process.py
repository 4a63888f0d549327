"""The state of the process that a call may change, and restoring it for the next call.

Loading a module is part of preparing a worker: changes that it makes are kept, such as a higher recursion limit. Changes
that a function makes end with its call. `docs/guide/python.md` lists what is restored and what is not.
"""
import _locale
import _operator
import gc
import os
import sys

from _hark_environment import Environment
from _hark_signals import Signals
from _hark_streams import private_copy

_locale_of_start = _locale.setlocale(_locale.LC_ALL, None)


class _Setting:
    """A setting: how to read and write it, its module, and its value (`first`) as long as the module is not loaded."""

    def __init__(self, read, write, module="sys", first=None):
        self.read, self.write, self.module, self.first = read, write, module, first


_SETTINGS = [
    _Setting(sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting(sys.getswitchinterval, sys.setswitchinterval),
    _Setting(sys.gettrace, sys.settrace),
    _Setting(sys.getprofile, sys.setprofile),
    _Setting(gc.isenabled, lambda is_on: gc.enable() if is_on else gc.disable()),
    _Setting(gc.get_threshold, lambda threshold: gc.set_threshold(*threshold)),
    _Setting(
        lambda: _locale.setlocale(_locale.LC_ALL, None),
        lambda text: _locale.setlocale(_locale.LC_ALL, text),
        "locale",
        _locale.setlocale(_locale.LC_ALL, None),
    ),
    _Setting(
        lambda: sys.modules["_socket"].getdefaulttimeout(),
        lambda seconds: sys.modules["_socket"].setdefaulttimeout(seconds),
        "_socket",
    ),
    _Setting(lambda: sys.modules["threading"]._trace_hook, lambda hook: sys.modules["threading"].settrace(hook), "threading"),
    _Setting(lambda: sys.modules["threading"]._profile_hook, lambda hook: sys.modules["threading"].setprofile(hook), "threading"),
]
if hasattr(sys, "set_int_max_str_digits"):
    _SETTINGS.append(_Setting(sys.get_int_max_str_digits, sys.set_int_max_str_digits))

# The attributes of `sys` that a call may replace.
_HOOKS = ("argv", "excepthook", "displayhook", "breakpointhook", "unraisablehook")
_hooks_of = _operator.itemgetter(*_HOOKS)


class Process:
    """The state of the process that every call finds."""

    def __init__(self):
        self.folder = None
        self.signals = Signals()
        self.environment = Environment()
        self.save()

    def save(self):
        """Saves the current state as the one that every call must find."""
        self.signals.save()
        self.environment.save()
        self.save_settings()
        self.hooks = _hooks_of(vars(sys))
        self.arguments = list(sys.argv)
        self.umask = os.umask(0o077)
        os.umask(self.umask)
        self.decimal = sys.modules.get("decimal")
        self.save_folder()

    def save_settings(self):
        settings = [each for each in _SETTINGS if each.module in sys.modules]
        self.readers = [each.read for each in settings]
        self.values = [read() for read in self.readers]
        self.saved = dict(zip(settings, self.values))
        self.modules = len(sys.modules)

    def save_folder(self):
        """Saves the folder as an open descriptor, so that it may be renamed or removed."""
        former, self.folder = self.folder, None
        try:
            opened = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
            self.folder = private_copy(opened)
            os.close(opened)
        except OSError:
            # It may not be readable. Then the worker does not return to it after a call that has left it.
            pass
        if former is not None:
            os.close(former)

    def close_copies(self):
        """For a process that was forked from the worker."""
        if self.folder is not None:
            os.close(self.folder)

    def enter_context(self):
        """Must run in the call's own context. A copied context shares the object with `decimal`'s settings, so it is copied here."""
        if self.decimal is not None:
            self.decimal.setcontext(self.decimal.getcontext().copy())

    def restore(self):
        """Restores the state. If it raises, the worker must end."""
        if self.folder is not None:
            os.fchdir(self.folder)
        os.umask(self.umask)
        if self.signals.have_changed:
            self.signals.restore()
        environment = self.environment
        if environment.changed or os.environ is not environment.object:
            environment.restore()
        if [read() for read in self.readers] != self.values or len(sys.modules) != self.modules:
            self.restore_settings()
        if _hooks_of(vars(sys)) != self.hooks or sys.argv != self.arguments:
            self.restore_hooks()

    def restore_settings(self):
        for each in _SETTINGS:
            if each.module in sys.modules:
                value = self.saved.get(each, each.first)
                if each.read() != value:
                    each.write(value)
        self.save_settings()

    def restore_hooks(self):
        vars(sys).update(zip(_HOOKS, self.hooks))
        sys.argv[:] = self.arguments
