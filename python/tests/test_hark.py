"""The module `hark` where Hark is not: there is no call until a test sets one."""
from __future__ import annotations

import asyncio
import threading
import unittest

import hark
import hark.testing


def told() -> tuple[str, int, str, int]:
    return hark.call_id(), hark.attempt(), hark.session_id(), hark.thread()


class Outside(unittest.TestCase):
    def test_there_is_no_call(self) -> None:
        for ask in (hark.call_id, hark.attempt, hark.session_id, hark.thread):
            with self.assertRaisesRegex(RuntimeError, "hark.%s.. has an answer only while" % ask.__name__):
                ask()

    def test_a_test_sets_one(self) -> None:
        with hark.testing.call() as call_id:
            self.assertEqual(told(), ("session/0/1", 1, "session", 0))
            self.assertEqual(call_id, hark.call_id())
        self.test_there_is_no_call()

    def test_each_part_can_be_said(self) -> None:
        with hark.testing.call(session_id="a/b", thread=12, number=3, attempt=2):
            self.assertEqual(told(), ("a/b/12/3", 2, "a/b", 12))

    def test_calls_are_nested_and_end_by_exceptions_too(self) -> None:
        with hark.testing.call(number=1):
            with self.assertRaises(KeyError), hark.testing.call(number=2):
                raise KeyError(hark.call_id())
            self.assertEqual(hark.call_id(), "session/0/1")
        self.test_there_is_no_call()

    @hark.testing.call(attempt=5)
    def test_it_decorates(self) -> None:
        self.assertEqual(hark.attempt(), 5)

    def test_threads_and_coroutines_see_it(self) -> None:
        async def ask() -> int:
            await asyncio.sleep(0)
            return hark.attempt()

        answers: list[int] = []
        with hark.testing.call(attempt=7):
            asking = threading.Thread(target=lambda: answers.append(hark.attempt()))
            asking.start()
            asking.join()
            answers.append(asyncio.run(ask()))
        self.assertEqual(answers, [7, 7])

    def test_what_no_call_has_is_refused(self) -> None:
        with self.assertRaises(ValueError), hark.testing.call(attempt=0):
            pass
        with self.assertRaises(ValueError), hark.testing.call(thread=-1):
            pass
        with self.assertRaises(ValueError), hark.testing.call(session_id=""):
            pass


if __name__ == "__main__":
    unittest.main()
