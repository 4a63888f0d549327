"""Raises while it is loaded."""


def fail():
    raise LookupError("not while loading")


fail()
