"""Functions that change the state of their process, and one that returns this state."""
import _signal
import contextvars
import decimal
import gc
import io
import locale
import os
import signal
import socket
import sys
import threading

# Part of loading the module: these changes are kept.
sys.setrecursionlimit(1234)
decimal.getcontext().prec = 30
os.environ["SET_WHEN_LOADED"] = "1"

ERRORS = os.fstat(2).st_ino

variable = contextvars.ContextVar("variable", default="nothing")


def state():
    return {
        "folder": os.getcwd(),
        "recursion": sys.getrecursionlimit(),
        "alarms": [_signal.getitimer(each)[0] for each in (0, 1, 2)],
        "handlers": [str(signal.getsignal(each)) for each in (signal.SIGUSR1, signal.SIGALRM, signal.SIGINT)],
        "mask": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "umask": file_mask(),
        "environment": [len(os.environ), os.environ.get("LEFT"), os.environ.get("SET_WHEN_LOADED")],
        "environment of children": os.popen("echo $LEFT $SET_WHEN_LOADED").read(),
        "arguments": sys.argv,
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__, sys.unraisablehook.__name__],
        "traces": [str(each) for each in (sys.gettrace(), sys.getprofile(), threading._trace_hook, threading._profile_hook)],
        "variable": variable.get(),
        "precision": decimal.getcontext().prec,
        "timeout": socket.getdefaulttimeout(),
        "locale": locale.setlocale(locale.LC_ALL),
        "collects": [gc.isenabled(), *gc.get_threshold()],
        "switches": sys.getswitchinterval(),
        "streams": [os.readlink("/proc/self/fd/%d" % each).split(":")[0] for each in (0, 1)],
        "waiting streams": [os.get_blocking(each) for each in (1, 2)],
        "same errors": os.fstat(2).st_ino == ERRORS,
        "input": sys.stdin.read(),
        "errors": sys.stderr is sys.__stderr__,
    }


def file_mask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def handler(*_):
    raise TimeoutError("an alarm of another call")


def ignore(*_):
    """Traces nothing."""


def leave_folder():
    os.mkdir("gone") if not os.path.exists("gone") else None
    os.chdir("gone")
    os.rmdir(os.getcwd())


def replace_environment():
    os.environ = {"LEFT": "1"}


def close_descriptors():
    for each in (1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), each)


def print_elsewhere():
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1", write_through=False)
    print("held back")


def deafen():
    sys.stdin.close()
    sys.stderr.close()


DISORDER = {
    "folder": leave_folder,
    "recursion": lambda: sys.setrecursionlimit(300),
    # Far from due, because a busy machine may stop this process for a while before the call ends. `state` shows running
    # timers.
    "alarm": lambda: [signal.signal(signal.SIGALRM, handler), signal.setitimer(signal.ITIMER_REAL, 600, 600)],
    "deadly alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 600),
    "profile": lambda: [signal.signal(signal.SIGPROF, handler), signal.setitimer(signal.ITIMER_PROF, 100)],
    "handler": lambda: [signal.signal(each, handler) for each in (signal.SIGUSR1, signal.SIGINT)],
    "mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
    "umask": lambda: os.umask(0o777),
    "environment": lambda: [os.environ.update(LEFT="1"), os.environ.pop("SET_WHEN_LOADED")],
    "environment of children": lambda: [os.putenv("LEFT", "1"), os.unsetenv("SET_WHEN_LOADED")],
    "other environment": replace_environment,
    "arguments": lambda: sys.argv.extend(["--loud"]),
    "other arguments": lambda: setattr(sys, "argv", ["tool"]),
    "hooks": lambda: [setattr(sys, each, handler) for each in ("excepthook", "displayhook", "unraisablehook")],
    "trace": lambda: [sys.settrace(ignore), threading.settrace(ignore)],
    "profiler": lambda: [sys.setprofile(ignore), threading.setprofile(ignore)],
    "variable": lambda: variable.set("something"),
    "precision": lambda: setattr(decimal.getcontext(), "prec", 3),
    "timeout": lambda: socket.setdefaulttimeout(3),
    "locale": lambda: locale.setlocale(locale.LC_CTYPE, "C"),
    "collects": gc.disable,
    "collects later": lambda: gc.set_threshold(0),
    "switches": lambda: sys.setswitchinterval(1),
    "descriptors": close_descriptors,
    "output that does not wait": lambda: [os.set_blocking(each, False) for each in (1, 2)],
    "output": print_elsewhere,
    "no output": lambda: delattr(sys, "stdout"),
    "closed output": lambda: sys.stdout.close(),
    "detached output": lambda: sys.stdout.detach(),
    "deaf": deafen,
}


def disorder(what):
    DISORDER[what]()


def kinds():
    return list(DISORDER)
