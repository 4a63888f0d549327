"""Stands in for Hark in tests of Python functions that use `hark`.

    with hark.testing.call(attempt=2):
        assert charge(order) == "already charged"

    @hark.testing.call
    async def test_charge(): ...
"""
from __future__ import annotations

import functools
import inspect
import json
from contextlib import contextmanager
from typing import Any, AsyncIterator, Callable, ContextManager, Generator, Iterator, TypeVar, cast, overload

import hark

__all__ = ["call"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

# The open calls, the innermost last; the first item is the value of `hark._call` before them.
_open: list[tuple[bytes, int] | None] = []

# The progress of the open calls, as JSON, at the same indexes.
_progress: list[str] = []

# The functions of `hark` for progress before the first of them.
_before: list[Callable[..., Any]] = []

# The highest call number so far of each session's thread.
_numbers: dict[tuple[str, int], int] = {}


@overload
def call(function: _Function, /) -> _Function: ...
@overload
def call(*, session_id: str = ..., thread: int = ..., number: int | None = ..., attempt: int = ..., last_progress: Any = ...) -> _Call: ...
def call(
    function: Callable[..., Any] | None = None,
    /,
    *,
    session_id: str = "session",
    thread: int = 0,
    number: int | None = None,
    attempt: int = 1,
    last_progress: Any = None,
) -> Callable[..., Any] | _Call:
    """While it is open, the functions of `hark` answer as in this call. `with` returns the call's id.

    `number` counts the thread's calls; together with `session_id` and `thread` it makes the id. Without a `number`, each
    `with` and each run of a decorated function is a new call: its number is one more than the thread's highest so far.

    `last_progress` is the progress that an earlier try of the call has reported.

    It decorates functions of all kinds, with or without parentheses. For coroutines and generators it is open from the
    start of their body until its end. Calls may be nested: when the inner one ends, the outer one continues.
    """
    made = _Call(session_id, thread, number, attempt, last_progress)
    return made if function is None else made(function)


class _Call:
    """The result of `call`: a reusable context manager and decorator."""

    def __init__(self, session_id: str, thread: int, number: int | None, attempt: int, last_progress: Any) -> None:
        _check("session_id", session_id, str)
        _check("thread", thread, int)
        if number is not None:
            _check("number", number, int)
        _check("attempt", attempt, int)
        if not session_id:
            raise ValueError("session_id must not be empty")
        if thread < 0 or attempt < 1 or (number is not None and number < 1):
            raise ValueError("threads count from 0, calls and attempts from 1")
        self._thread = (session_id, thread)
        self._number = number
        self._attempt = attempt
        self._last_progress = json.dumps(last_progress, allow_nan=False)
        self._entered: list[ContextManager[str]] = []

    def __enter__(self) -> str:
        held = self._held()
        self._entered.append(held)
        return held.__enter__()

    def __exit__(self, *raised: Any) -> None:
        self._entered.pop().__exit__(*raised)

    def __call__(self, function: _Function) -> _Function:
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"hark.testing.call takes a function to decorate, or keyword arguments, not {function!r}")
        held: Callable[..., Any]
        if inspect.iscoroutinefunction(function):

            async def held(*args: Any, **named: Any) -> Any:
                with self._held():
                    return await function(*args, **named)

        elif inspect.isasyncgenfunction(function):

            async def held(*args: Any, **named: Any) -> AsyncIterator[Any]:
                with self._held():
                    inner = function(*args, **named)
                    step = inner.asend(None)
                    while True:
                        try:
                            item = await step
                        except StopAsyncIteration:
                            return
                        try:
                            step = inner.asend((yield item))
                        except GeneratorExit:
                            await inner.aclose()
                            raise
                        except BaseException as error:
                            step = inner.athrow(error)

        elif inspect.isgeneratorfunction(function):

            def held(*args: Any, **named: Any) -> Generator[Any, Any, Any]:
                with self._held():
                    return (yield from function(*args, **named))

        else:

            def held(*args: Any, **named: Any) -> Any:
                with self._held():
                    return function(*args, **named)

        return cast(_Function, functools.wraps(function)(held))

    @contextmanager
    def _held(self) -> Iterator[str]:
        last = _numbers.get(self._thread, 0)
        number = last + 1 if self._number is None else self._number
        _numbers[self._thread] = max(last, number)
        call_id = "%s/%d/%d" % (*self._thread, number)
        current = (call_id.encode(), self._attempt)
        if not _open:
            _open.append(hark._call)
            _progress.append("null")
            _before[:] = hark._tell_progress, hark._read_progress
            hark._tell_progress, hark._read_progress = _tell, _read
        _open.append(current)
        _progress.append(self._last_progress)
        hark._call = current
        try:
            yield call_id
        finally:
            # Coroutines and generators may end in another order than they began.
            place = _place_of(current)
            del _open[place], _progress[place]
            hark._call = _open[-1]
            if len(_open) == 1:
                hark._tell_progress, hark._read_progress = _before
                _open.clear()
                _progress.clear()
                _before.clear()


def _place_of(call: tuple[bytes, int] | None) -> int:
    return next(place for place, other in enumerate(_open) if other is call)


def _tell(value: Any) -> None:
    _progress[_place_of(hark._call)] = json.dumps(value, allow_nan=False)


def _read() -> Any:
    return json.loads(_progress[_place_of(hark._call)])


def _check(name: str, value: object, wanted: type) -> None:
    if not isinstance(value, wanted) or isinstance(value, bool):
        article = "an" if wanted is int else "a"
        raise TypeError(f"{name} of hark.testing.call() must be {article} {wanted.__name__}, not {value!r}")
