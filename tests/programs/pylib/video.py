"""A module inside a package."""


def frames(name):
    return [name, 24]
