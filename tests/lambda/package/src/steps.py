import os
import sys
import time


def step(n):
    return n * 2


def hang(seconds):
    time.sleep(seconds)
    return "late"


def variables(names):
    return [os.environ.get(name) for name in names]


def interpreter():
    return [sys.executable, sys.prefix]


def version():
    return 1
