"""The module `hark` outside Hark: there is no call until a test sets one."""
from __future__ import annotations

import asyncio
import inspect
import threading
import unittest
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator, Generator, Iterator

import hark
import hark.testing


def told() -> tuple[str, int, str, int]:
    return hark.call_id(), hark.attempt(), hark.session_id(), hark.thread()


class Outside(unittest.TestCase):
    def test_there_is_no_call(self) -> None:
        for ask in (hark.call_id, hark.attempt, hark.session_id, hark.thread, hark.last_progress):
            told = r"hark.%s\(\) can be used only while .* hark.testing.call\(\)" % ask.__name__
            with self.assertRaisesRegex(RuntimeError, told):
                ask()

    def test_progress_belongs_to_its_call(self) -> None:
        with self.assertRaisesRegex(RuntimeError, r"hark.progress\(\) can be used only while"):
            hark.progress(1)
        with hark.testing.call(attempt=2, last_progress={"page": 3}):
            self.assertEqual(hark.last_progress(), {"page": 3})
            with hark.testing.call():
                self.assertIsNone(hark.last_progress())
                hark.progress([1, "of", 2])
                self.assertEqual(hark.last_progress(), [1, "of", 2])
            self.assertEqual(hark.last_progress(), {"page": 3})
        with self.assertRaises(ValueError), hark.testing.call():
            hark.progress(float("nan"))
        self.test_there_is_no_call()

    def test_a_test_sets_one(self) -> None:
        with hark.testing.call(number=1) as call_id:
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

    @hark.testing.call
    def test_it_decorates_without_parentheses(self) -> None:
        self.assertEqual(hark.attempt(), 1)

    def test_each_is_another_call_unless_its_number_is_given(self) -> None:
        @hark.testing.call(session_id="fresh")
        def ask() -> str:
            return hark.call_id()

        call = hark.testing.call(session_id="fresh")
        with call as first, call as second:
            self.assertEqual((first, second, hark.call_id()), ("fresh/0/1", "fresh/0/2", "fresh/0/2"))
        self.assertEqual([ask(), ask()], ["fresh/0/3", "fresh/0/4"])
        with hark.testing.call(session_id="fresh", number=7), hark.testing.call(session_id="fresh", number=2) as given:
            self.assertEqual((given, ask()), ("fresh/0/2", "fresh/0/8"))
        with hark.testing.call(session_id="fresh", thread=1) as other:
            self.assertEqual(other, "fresh/1/1")
        with hark.testing.call() as one, hark.testing.call() as another:
            self.assertNotEqual(one, another)
        self.test_there_is_no_call()

    def test_it_holds_while_a_coroutine_runs(self) -> None:
        @hark.testing.call(attempt=2)
        async def ask(turns: int) -> int:
            for _ in range(turns):
                await asyncio.sleep(0)
            return hark.attempt()

        async def both() -> list[int]:
            return list(await asyncio.gather(ask(1), ask(3), ask(2)))

        self.assertTrue(inspect.iscoroutinefunction(ask))
        self.assertEqual(asyncio.run(both()), [2, 2, 2])
        self.test_there_is_no_call()

    def test_it_holds_while_a_generator_runs(self) -> None:
        @hark.testing.call(number=4)
        def ask(end: str) -> Generator[str, str, str]:
            sent = yield hark.call_id()
            yield sent + hark.call_id()
            return end

        asked = ask("end")
        self.test_there_is_no_call()
        self.assertEqual((next(asked), asked.send("sent ")), ("session/0/4", "sent session/0/4"))
        with self.assertRaises(StopIteration) as ended:
            next(asked)
        self.assertEqual(ended.exception.value, "end")
        self.test_there_is_no_call()

        @hark.testing.call
        def endless() -> Iterator[int]:
            while True:
                yield hark.attempt()

        left = iter(endless())
        self.assertEqual(next(left), 1)
        del left
        self.test_there_is_no_call()

    def test_it_holds_while_an_asynchronous_generator_runs(self) -> None:
        seen: list[object] = []

        @asynccontextmanager
        @hark.testing.call(attempt=3)
        async def resource() -> AsyncIterator[int]:
            try:
                yield hark.attempt()
            except KeyError:
                await asyncio.sleep(0)
                seen.append(hark.attempt())

        @hark.testing.call
        async def several() -> AsyncIterator[int]:
            try:
                for item in range(3):
                    await asyncio.sleep(0)
                    yield item + hark.attempt()
            finally:
                seen.append(hark.call_id() != "")

        async def use() -> None:
            async with resource() as attempt:
                seen.append(attempt)
                raise KeyError
            seen.append([item async for item in several()])
            left: Any = several()
            seen.append(await left.asend(None))
            await left.aclose()

        asyncio.run(use())
        self.assertEqual(seen, [3, 3, True, [1, 2, 3], 1, True])
        self.test_there_is_no_call()

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

    def test_arguments_of_a_wrong_type_are_refused(self) -> None:
        call: Any = hark.testing.call
        refused: list[tuple[dict[str, object], str]] = [
            ({"attempt": "x"}, r"attempt of hark.testing.call\(\) must be an int, not 'x'"),
            ({"attempt": True}, "attempt .* must be an int, not True"),
            ({"thread": None}, "thread .* must be an int, not None"),
            ({"number": 1.0}, r"number .* must be an int, not 1\.0"),
            ({"session_id": 5}, r"session_id of hark.testing.call\(\) must be a str, not 5"),
        ]
        for named, wanted in refused:
            with self.assertRaisesRegex(TypeError, wanted):
                call(**named)
        for no_function in ("session", int):
            with self.assertRaisesRegex(TypeError, "takes a function to decorate"):
                call(no_function)


if __name__ == "__main__":
    unittest.main()
