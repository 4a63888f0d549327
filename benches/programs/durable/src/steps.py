"""The Python functions called by the programs."""
import os
import time

import hark


def step(x):
    return x + 1


def slow_step(x):
    """Takes 20 ms, and appends the id of the call to a file."""
    calls = os.open(os.environ["DURABLE_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(calls, (hark.call_id() + "\n").encode())
    os.close(calls)
    time.sleep(0.02)
    return x + 1


def busy_step(x):
    """Takes 5 ms of a core's time."""
    until = time.thread_time() + 0.005
    while time.thread_time() < until:
        pass
    return x + 1
