"""What the program calls. Each answers the same when it is called again."""
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
    """Fails in its first two tries, whoever makes them: a call's tries are counted where they are written down."""
    if hark.attempt() < 3:
        raise hark.Retry("not yet", after=0.01)
    return n


def day(text):
    return datetime.date.fromisoformat(text)


def days_between(first, last):
    return (last - first).days
