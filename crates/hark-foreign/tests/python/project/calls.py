"""Functions that the tests call."""
import asyncio
import collections
import ctypes
import datetime
import decimal
import enum
import getpass
import math
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import types
import time

not_callable = 5


def echo(value):
    return value


def any_number(*arguments):
    return list(arguments)


def describe(value):
    return type(value).__name__


def pid():
    return os.getpid()


def add(a, b=10):
    return a + b


class Counter:
    class Inner:
        @staticmethod
        def twice(number):
            return 2 * number

    @classmethod
    def name(cls):
        return cls.__name__


# Results


class Name(str):
    pass


class Number(int):
    pass


class Color(enum.IntEnum):
    RED = 3


Point = collections.namedtuple("Point", "x y")


def subclasses():
    return [Name("n"), Number(5), Color.RED, Point(1, 2), collections.OrderedDict(b=1, a=2), True, (1, ())]


def cyclic():
    items = [1]
    items.append({"again": items})
    return items


def shared():
    inner = [1]
    return [inner, inner]


def deep(depth):
    items = []
    for _ in range(depth):
        items = [items]
    return items


def depth(items):
    count = 0
    while items:
        items = items[0]
        count += 1
    return count


def text_of_length(length):
    return "x" * length


def numbers(count):
    return [list(range(count)), [each / 2 for each in range(count)]]


def repeated(what):
    """A value that is small in memory and large when encoded."""
    return {
        "texts": lambda: ["x" * 100_000_000] * 50,
        "wide characters": lambda: ["\u2603" * 10_000_000] * 50,
        "integers": lambda: [[1] * 10_000_000] * 50,
        "large integers": lambda: [1 << 16_000_000] * 2_000,
    }[what]()


def shares_itself(levels, kind):
    value = []
    for _ in range(levels):
        value = {"list": lambda: [value, value], "tuple": lambda: (value, value), "dict": lambda: {1: value, 2: value}}[kind]()
    return value


def memory_peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def exploding():
    items = []
    for _ in range(60):
        items = [items, items]
    return items


def unusual(what):
    return {
        "huge": lambda: 1 << 16_777_216,
        "nested": lambda: {"a": [0, {}, [], {1.5: (1, open(__file__))}]},
        "late": lambda: [*range(20_000), (each for each in [1])],
        "deep": lambda: nested((each for each in [1]), 10_000),
        "strange key": lambda: {"a\n\x1b[1m\"\\" + 100 * "a": threading.Lock()},
        "twice": lambda: [[1, 2], [1, (each for each in [1])]],
        "mapping": lambda: types.MappingProxyType({"a": collections.ChainMap({"b": (each for each in [1])})}),
        "date key": lambda: [{datetime.date(2000, 1, 1): 1}],
        "generator": lambda: (each for each in [1]),
        "async generator": lambda: async_generator(),
        "none key": lambda: {None: 1},
        "tuple key": lambda: {"a": [{(1, 2): 3}]},
        "nan key": lambda: {math.nan: 1},
        "surrogate": lambda: "a\ud800",
        "surrogate key": lambda: {"\udc00": 1},
    }[what]()


def nested(value, levels):
    for _ in range(levels + 1):
        value = [value]
    return value


async def async_generator():
    yield 1


async def coroutine(x):
    await asyncio.sleep(0.001)
    print("in a coroutine")
    return x + 1


async def failing_coroutine():
    await asyncio.sleep(0)
    raise ValueError("in a coroutine")


# Errors


class Rude(Exception):
    def __str__(self):
        raise SystemExit("no text")


class Custom(Exception):
    """An exception that cannot be reconstructed from its arguments."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def chained():
    try:
        {}["cause"]
    except KeyError as error:
        raise Custom(7, "effect") from error


class Evasive(Exception):
    @property
    def args(self):
        raise RuntimeError("no arguments here")


def raises_with(what):
    if what == "several":
        raise KeyError("no such order", 17, (1, {"a": None}))
    if what == "objects":
        raise ValueError(1, object(), datetime.date(2026, 11, 26), {"a"}, [object()], 2)
    if what == "none":
        raise ValueError
    if what == "rude":
        raise Evasive
    if what == "huge":
        raise ValueError("x" * 50_000_000)
    raise ValueError("first", list(range(100_000)), "last")


def raises(what):
    if what == "interrupt":
        raise KeyboardInterrupt
    if what == "exit":
        sys.exit(3)
    if what == "rude":
        raise Rude
    if what == "huge":
        raise ValueError("x" * 50_000_000)
    if what == "surrogate":
        raise ValueError("\ud800")
    if what == "recursion":
        return raises(what)
    if what == "signal":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    if what == "stop":
        raise StopIteration(1)
    raise ValueError(what)


def dies(how):
    print("last words")
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "guard":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if how == "keeper":
        os.kill(parent_of(os.getppid()), signal.SIGKILL)
        time.sleep(600)
    if how == "child keeps output":
        subprocess.Popen(["sleep", "30"])
        os._exit(3)


def parent_of(process):
    with open("/proc/%d/stat" % process) as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


# Output


def prints():
    print("one")
    sys.stdout.write("two")
    os.write(1, b" three ")
    subprocess.run(["echo", "four"], check=True)
    ctypes.CDLL(None).puts(b"five")
    ctypes.CDLL(None).fflush(None)
    sys.stdout.buffer.write(b"six")
    return 1


def prints_much(lines):
    subprocess.run(["seq", str(lines)], check=True)
    return "done"


def prints_until_seen(text, path):
    """Continues when the file exists, which says that the output was seen."""
    print(text, end="")
    return awaits_file(path)


def begins_and_awaits(begun, path):
    write_whole(begun, "")
    return awaits_file(path)


def awaits_file(path):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if os.path.exists(path):
            return True
        time.sleep(0.002)
    return False


def prints_in_threads(threads, lines):
    """Prints lines that take several writes each, and an incomplete one at the end."""

    def work(number):
        for line in range(lines):
            print("thread", number, "line", line, "end")
        print("rest", number, end="|")

    workers = [threading.Thread(target=work, args=[number]) for number in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()


def prints_a_part_while_a_thread_runs(path):
    """Flushes a part of a line, and continues when it was seen."""
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    print("part", end="", flush=True)
    try:
        return awaits_file(path)
    finally:
        done.set()
        other.join()


def prints_unicode():
    print("é☃😀\0", "\ud800")
    os.write(1, b"\xff\n")


def closes_output():
    sys.stdout.close()
    os.close(1)


def replaces_output():
    sys.stdout = open(os.devnull, "w")
    print("nowhere")


def prints_plain(text):
    print(text, end="")


def standard_error():
    print("to standard error", file=sys.stderr)


def reads_input():
    return [sys.stdin.read(), os.read(0, 10).decode()]


# Processes and threads


def forks():
    """The child also returns from this call; it must not answer."""
    child = os.fork()
    if child == 0:
        print("child")
        return "from the child"
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status)


def forks_and_raises():
    child = os.fork()
    if child == 0:
        sys.exit(7)
    return os.WEXITSTATUS(os.waitpid(child, 0)[1])


def threads():
    results = []
    workers = [threading.Thread(target=lambda n=n: results.append(n)) for n in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return sorted(results)


def sleeps(seconds):
    time.sleep(seconds)
    return seconds


def writes_pid_and_sleeps(path):
    write_whole(path, str(os.getpid()))
    time.sleep(600)


def starts_family(folder, what):
    """Starts processes in all ways in which they may escape. Each writes its pid to a file with its name.

    Then returns, sleeps, or runs code that no other Python thread can interrupt.
    """
    sleeps = 'echo $$ > %s/%s.new; mv %s/%s.new %s/%s; exec sleep 600'

    def command(name, before=""):
        return ["sh", "-c", before + sleeps % (folder, name, folder, name, folder, name)]

    subprocess.Popen(command("child"))
    subprocess.Popen(command("grandchild", "sleep 600 & "))
    subprocess.Popen(command("group"), preexec_fn=os.setpgrp)
    subprocess.Popen(command("session"), start_new_session=True, stdout=subprocess.DEVNULL)
    subprocess.Popen(command("stubborn", "trap '' TERM HUP INT; "), start_new_session=True)
    subprocess.Popen(["timeout", "600", *command("timeout")])
    subprocess.Popen(["env", "-i", "PATH=" + os.environ["PATH"], *command("nameless")], start_new_session=True, cwd="/")
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            daemon = command("daemon")
            os.execvp(daemon[0], daemon)
        os._exit(0)
    os.wait()
    if what == "stop":
        os.kill(os.getppid(), signal.SIGSTOP)
    write_whole(os.path.join(folder, "worker"), str(os.getpid()))
    if what in ("sleep", "stop"):
        time.sleep(600)
    if what == "compute":
        re.match(r"(a+)+$", "a" * 40 + "b")


def write_whole(path, text):
    """Makes the file visible only when it is complete."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def meets(folder, me, other):
    open(os.path.join(folder, me), "w").close()
    return awaits_file(os.path.join(folder, other))


def asks(how):
    """Ends at once, because there is no one to answer."""
    if how == "getpass":
        return getpass.getpass(stream=open(os.devnull, "w"))
    if how == "terminal":
        return open("/dev/tty").read()
    return input()


def status_of_child():
    return subprocess.run(["sh", "-c", "exit 3"]).returncode


def signals():
    """The ignored and the blocked signals."""
    ignored = [each.name for each in signal.valid_signals() if signal.getsignal(each) == signal.SIG_IGN]
    return [sorted(ignored), sorted(each.name for each in signal.pthread_sigmask(signal.SIG_BLOCK, []))]


def forks_a_pool():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, 2, -3])


def surroundings():
    return {
        "argv": sys.argv,
        "main": sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("__")),
        "path": sys.path,
        "has_current_folder": "" in sys.path,
        "own_group": os.getpgid(0) == os.getpid(),
        "own_session": os.getsid(0) == os.getppid(),
        "threads": threading.active_count(),
        "descriptors": [os.readlink("/proc/self/fd/0"), os.readlink("/proc/self/fd/1").split(":")[0]],
    }


def imports_later(name):
    return __import__(name)
