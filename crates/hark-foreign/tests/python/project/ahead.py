"""Short calls, of which a worker is sent several ahead."""
import os
import select
import signal
import subprocess
import sys
import time

import hark


def notes(path, name):
    """Leaves a line in a file for each time that it is called."""
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
    """In ways of which Hark sees the pipe only."""
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
    """Whether the next call is there already, while this one runs."""
    worker = hark._tell_progress.__self__
    return bool(select.select([worker.inbox], [], [], seconds)[0])
