"""What the program imports from Python."""


def foo(x):
    return x + 39
