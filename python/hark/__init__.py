"""Information about the current call from Hark, for the called function: `import hark`.

A worker makes one call at a time, so the call is a global of the process: coroutines and threads of the function see it
too. While a module is loaded there is no call, so that a module cannot keep values that hold only for its first call.

Outside Hark there is no call either; `hark.testing` sets one.
"""
from __future__ import annotations

# As in `typing`; importing it would make each worker's start slower.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

__all__ = ["BadRetry", "Fatal", "Retry", "attempt", "call_id", "last_progress", "progress", "session_id", "thread"]


class Fatal(Exception):
    """Raise this in a function to end the tries of `#[retry]`, because another try would fail as well."""


class Retry(Exception):
    """Raise this in a function with `#[retry]` to ask for the next try after a number of seconds.

    Without `after`, the delay follows the backoff. The program's limit on tries still applies.
    """

    def __init__(self, message: str = "asked to be tried again", *, after: float | None = None) -> None:
        if after is not None:
            try:
                is_time = 0 <= float(after) <= _AFTER_MAX and not isinstance(after, (str, bytes))
            except (TypeError, ValueError, OverflowError):
                is_time = False
            if not is_time:
                raise BadRetry(f"`after` of hark.Retry must be a number of seconds from 0 to {_AFTER_MAX:.0f}, not {after!r}")
        super().__init__(message)
        self.after = after


class BadRetry(Fatal, ValueError):
    """Raised by `Retry` for an invalid `after`. It ends the tries, so that the mistake is reported instead of retried."""


# The longest delay that `Retry` can ask for, in seconds: 31 years.
_AFTER_MAX = 1e9

# The id and the attempt of the current call. Set by the worker or by `hark.testing`.
_call: tuple[bytes, int] | None = None

# Functions to report and to read the progress of the current call. Set in the same way.
_tell_progress: Callable[[Any], None] = lambda value: None
_read_progress: Callable[[], Any] = lambda: None


def call_id() -> str:
    """The call's id: the same for all tries of this call, and different from that of any other call."""
    return _current("call_id")[0].decode()


def attempt() -> int:
    """The number of this try, from 1."""
    return _current("attempt")[1]


def progress(value: Any) -> None:
    """Reports the progress of the call, as any JSON value: `hark show` shows it, and a later try can read it.

    It may be called as often as useful: the progress is saved from time to time, and when the call ends.
    """
    _current("progress")
    _tell_progress(value)


def last_progress() -> Any:
    """The last progress that this or an earlier try of the call has reported; None if there is none."""
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
            f"hark.{asked}() can be used only while a function called by Hark is running; "
            "in tests, use hark.testing.call()"
        )
    return call
