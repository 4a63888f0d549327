"""A module of the second folder."""


def where():
    return "python_src"
