"""What a Python function can ask about the call that Hark makes of it: `import hark`.

A worker takes one call at a time, so the call is a global of the process: coroutines and threads of the function see it
too. While a module is loaded there is no call, so that a module does not keep what is true of its first call only.

Outside of Hark there is no call either; `hark.testing` sets one.
"""
from __future__ import annotations

# As in `typing`, whose import would make each worker's start longer.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

__all__ = ["BadRetry", "Fatal", "Retry", "attempt", "call_id", "last_progress", "progress", "session_id", "thread"]


class Fatal(Exception):
    """Raised by a function, it ends the tries of `#[retry]`: another one would fail as well."""


class Retry(Exception):
    """Raised by a function that `#[retry]` stands before, it asks for the next try in so many seconds.

    Without `after` that comes by the backoff. There are no more tries than the program allows.
    """

    def __init__(self, message: str = "asked to be tried again", *, after: float | None = None) -> None:
        if after is not None:
            try:
                is_time = 0 <= float(after) <= _AFTER_MAX and not isinstance(after, (str, bytes))
            except (TypeError, ValueError, OverflowError):
                is_time = False
            if not is_time:
                raise BadRetry(f"`after` of hark.Retry is a number of seconds from 0 to {_AFTER_MAX:.0f}, not {after!r}")
        super().__init__(message)
        self.after = after


class BadRetry(Fatal, ValueError):
    """What a wrong `after` of `Retry` raises. It ends the tries, so that the mistake is seen and not tried again."""


# The longest time that `Retry` can ask for, in seconds: 31 years.
_AFTER_MAX = 1e9

# The id and the attempt of the current call. The worker sets it, or `hark.testing`.
_call: tuple[bytes, int] | None = None

# What tells how far the current call is, and what reads that. They are set likewise.
_tell_progress: Callable[[Any], None] = lambda value: None
_read_progress: Callable[[], Any] = lambda: None


def call_id() -> str:
    """The call's id: the same over all tries of this call, and no other call's."""
    return _current("call_id")[0].decode()


def attempt() -> int:
    """Which try of the call this is, from 1."""
    return _current("attempt")[1]


def progress(value: Any) -> None:
    """Says how far the call is, with any value that JSON has: `hark show` shows it, and a later try can read it.

    It may be said as often as there is something to say: it is written down now and then, and when the call ends.
    """
    _current("progress")
    _tell_progress(value)


def last_progress() -> Any:
    """How far the call is, as it or a try before it has said last; None if none has."""
    _current("last_progress")
    return _read_progress()


def session_id() -> str:
    """The id of the session."""
    return _session_and_thread("session_id")[0]


def thread() -> int:
    """The number of the Hark thread that calls, as in Hark's own messages; the first is 0."""
    return int(_session_and_thread("thread")[1])


def _session_and_thread(asked: str) -> tuple[str, str]:
    session, thread, _ = _current(asked)[0].decode().rsplit("/", 2)
    return session, thread


def _current(asked: str) -> tuple[bytes, int]:
    call = _call
    if call is None:
        raise RuntimeError(
            f"hark.{asked}() has an answer only while a function runs that Hark called; "
            "in tests hark.testing.call() stands in for that"
        )
    return call
