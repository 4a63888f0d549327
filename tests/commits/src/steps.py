"""The functions called by the program. Each returns the same result when it is called again."""
import datetime

import hark


def double(n):
    print(f"double {n}")
    return 2 * n


def greeting(name, punctuation="."):
    return f"hello, {name}{punctuation}"


def refuse(n):
    raise LookupError("nothing at", n)


def unready(n):
    """Fails in its first two attempts, in any process: the attempts of a call are counted in the storage."""
    if hark.attempt() < 3:
        raise hark.Retry("not yet", after=0.01)
    return n


def day(text):
    return datetime.date.fromisoformat(text)


def days_between(first, last):
    return (last - first).days
