"""Stands in for Hark in the tests of Python functions that ask about their call.

    with hark.testing.call(attempt=2):
        assert charge(order) == "already charged"
"""
from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import hark

__all__ = ["call"]


@contextmanager
def call(*, session_id: str = "session", thread: int = 0, number: int = 1, attempt: int = 1) -> Iterator[str]:
    """While it is open, the functions of `hark` answer as in this call. Gives the call's id; may decorate a function.

    `number` counts the thread's calls; with `session_id` and `thread` it makes the id. Calls may be nested: at the end of
    the inner one the outer one goes on.
    """
    if not session_id:
        raise ValueError("a session has an id")
    if thread < 0 or number < 1 or attempt < 1:
        raise ValueError("threads count from 0, calls and attempts from 1")
    call_id = f"{session_id}/{thread}/{number}"
    outer = hark._call
    hark._call = (call_id.encode(), attempt)
    try:
        yield call_id
    finally:
        hark._call = outer
