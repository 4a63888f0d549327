"""Short calls, several of which are sent ahead to a worker."""
import os
import select
import signal
import subprocess
import sys
import time

import hark


def notes(path, name):
    """Appends a line to a file on each call."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (name + "\n").encode())
    os.close(file)
    return name


def notes_and(path, name, what):
    notes(path, name)
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "sleeps":
        time.sleep(600)
    return name


def prints(name):
    """Prints in ways that Hark notices only at the pipe."""
    kind = int(name) % 5
    if kind == 0:
        print(name, end="")
    elif kind == 1:
        os.write(1, name.encode())
    elif kind == 2:
        sys.stdout.buffer.write(name.encode())
    elif kind == 3 and int(name) % 4 == 0:
        subprocess.run(["printf", name], check=True)
    return name


def tells(name):
    hark.progress(name)
    return hark.last_progress()


def sees_the_next(seconds):
    """Whether the next call has arrived while this one runs."""
    worker = hark._tell_progress.__self__
    return bool(select.select([worker.inbox], [], [], seconds)[0])
