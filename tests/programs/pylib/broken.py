"""A module that cannot be loaded."""

raise ImportError("broken on purpose")


def never():
    return 1
