"""Signals and timers of a worker, which are restored after a call has changed them.

Reading them after each call would cost as much as the rest of the call, so changes made from Python are detected instead.
`signal.signal` and `signal.pthread_sigmask` call functions of `_signal`, which are replaced here; alarms and timers are
replaced in both modules. Changes made directly by C code are not detected.
"""
import _signal
import functools
import signal

# Without real-time signals, which are hardly ever used.
_SIGNALS = [int(each) for each in signal.valid_signals() if each < 32 and each not in (signal.SIGKILL, signal.SIGSTOP)]

IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


class Signals:
    def __init__(self):
        self.have_changed = False
        for name in ("signal", "pthread_sigmask"):
            setattr(_signal, name, self.noticed(getattr(_signal, name)))
        for name in ("alarm", "setitimer"):
            replacement = self.noticed(getattr(_signal, name))
            setattr(_signal, name, replacement)
            setattr(signal, name, replacement)
        self.save()

    def noticed(self, function):
        @functools.wraps(function)
        def call(*arguments, **options):
            self.have_changed = True
            return function(*arguments, **options)

        return call

    def save(self):
        self.handlers = [_signal.getsignal(each) for each in _SIGNALS]
        self.mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        self.wakeup = _signal.set_wakeup_fd(-1)
        _signal.set_wakeup_fd(self.wakeup)
        # A repeating timer is meant for more than one call, such as that of a profiler.
        self.ends_alarm = not _signal.getitimer(_signal.ITIMER_REAL)[1]
        self.timers = [each for each in (_signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF) if not _signal.getitimer(each)[1]]
        # An alarm that is already set ends with the first call.
        self.have_changed = self.ends_alarm and _signal.getitimer(_signal.ITIMER_REAL)[0] > 0

    def disarm(self):
        """Must be called as soon as a function has returned: an alarm would run a handler that may raise, or kill the process."""
        if self.have_changed and self.ends_alarm:
            _signal.alarm(0)

    def restore(self):
        _signal.set_wakeup_fd(self.wakeup)
        # Timers of processor time are useless without a handler.
        for each in self.timers:
            _signal.setitimer(each, 0)
        for number, handler in zip(_SIGNALS, self.handlers):
            if _signal.getsignal(number) != handler:
                _signal.signal(number, handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask)
        self.have_changed = False


def reset():
    """Resets signals that were ignored or blocked when Hark was started: by `nohup`, a test runner, or a shell in the background."""
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN and number not in IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
