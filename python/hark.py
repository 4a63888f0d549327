"""What a Python function can ask about the call that Hark makes of it: `import hark`.

A worker takes one call at a time, so the call is a global of the process: coroutines and threads of the function see it
too. While a module is loaded for its first call there is none, lest it kept what is true of that call only.
"""

__all__ = ["attempt", "call_id", "session_id", "thread"]

# The name and the attempt of the call that runs, as the worker has them.
_call = None


def call_id():
    """The call's name, a string: the same over all tries of this call, and no other call's."""
    return _of_call("call_id")[0].decode()


def attempt():
    """Which try of the call this is, from 1."""
    return _of_call("attempt")[1]


def session_id():
    """The id of the session, a string."""
    return _parts_of_name("session_id")[0]


def thread():
    """The number of the Hark thread that calls, as in Hark's own messages; the first is 0."""
    return int(_parts_of_name("thread")[1])


def _parts_of_name(asked):
    """Session, thread, and the number of the call."""
    return _of_call(asked)[0].decode().rsplit("/", 2)


def _of_call(asked):
    call = _call
    if call is None:
        raise RuntimeError("hark.%s() has an answer only while a function runs that Hark called" % asked)
    return call
