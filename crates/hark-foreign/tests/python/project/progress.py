"""Functions that report their progress."""
import os
import threading
import time

import hark


def says(count, how):
    for number in range(count):
        hark.progress(number)
    if how == "raises":
        raise ValueError(how)
    if how == "dies":
        os._exit(1)


def for_ever():
    number = 0
    while True:
        print(number)
        hark.progress(number)
        number += 1


def before():
    return hark.last_progress()


def until_seen(path):
    hark.progress(0.5)
    end = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.005)
    return os.path.exists(path)


def in_threads():
    """The threads continue after the call, and a forked process reports progress as well."""

    def go_on():
        for number in range(2_000):
            try:
                hark.progress("x" * (number % 50))
            except RuntimeError:
                return

    for _ in range(3):
        threading.Thread(target=go_on, daemon=True).start()
    hark.progress("begun")
    if os.fork() == 0:
        hark.progress("forked")
        os._exit(0)
    os.wait()
    return "done"
