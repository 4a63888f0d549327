"""The event loop of a worker, the same for its whole life, so that a client or semaphore kept by a module works in later calls."""
import sys

from _hark_modules import import_standard

# How long cancelled tasks that a call leaves behind may take to end.
CANCEL_SECONDS = 1.0

# How often tasks are cancelled again, because cancelled tasks may start others.
CANCEL_ROUNDS = 3


class Unsettled(Exception):
    """Tasks that a call has left behind do not end."""


class EventLoop:
    def __init__(self):
        self.loop = None
        # Tasks of modules, which existed before any call.
        self.kept = frozenset()
        self.settings = ()

    def prepare(self):
        """Must be called after modules were loaded: their functions may use `asyncio.get_event_loop()`."""
        if "asyncio" in sys.modules:
            self.open()
            self.kept = frozenset(sys.modules["asyncio"].all_tasks(self.loop))
            self.settings = _settings_of(self.loop)

    def open(self):
        """Makes it the current loop, even if the user's code has run, closed or set another one."""
        asyncio = import_standard("asyncio")
        if self.loop is None or self.loop.is_closed() or self.loop.is_running():
            self.loop = _current(asyncio) or asyncio.new_event_loop()
            self.settings = _settings_of(self.loop)
        asyncio.set_event_loop(self.loop)

    def run(self, awaitable):
        self.open()
        return self.loop.run_until_complete(_waited(awaitable))

    def settle(self):
        """Ends the tasks that a call has left, so that they do not run in the next one, and restores the loop's settings."""
        if self.loop is None:
            return
        self.open()
        if _settings_of(self.loop) != self.settings:
            debug, factory, handler = self.settings
            self.loop.set_debug(debug)
            self.loop.set_task_factory(factory)
            self.loop.set_exception_handler(handler)
        if self.left():
            self.loop.run_until_complete(self.cancel_left())

    def left(self):
        return sys.modules["asyncio"].all_tasks(self.loop) - self.kept

    async def cancel_left(self):
        asyncio = sys.modules["asyncio"]
        me = {asyncio.current_task()}
        # Some only need to be finished, such as closing a generator.
        await asyncio.sleep(0)
        for _ in range(CANCEL_ROUNDS):
            left = self.left() - me
            if not left:
                return
            for task in left:
                task.cancel()
            ended, _ = await asyncio.wait(left, timeout=CANCEL_SECONDS)
            for task in ended:
                if not task.cancelled() and task.exception():
                    text = "exception in a cancelled task that a call from Hark has left behind"
                    self.loop.call_exception_handler({"message": text, "exception": task.exception(), "task": task})
        if self.left() - me:
            raise Unsettled

    def close(self):
        if self.loop is not None and not self.loop.is_running():
            self.loop.close()


def _settings_of(loop):
    return loop.get_debug(), loop.get_task_factory(), loop.get_exception_handler()


async def _waited(awaitable):
    return await awaitable


def _current(asyncio):
    """The loop that the user's code has already created, if it is free."""
    try:
        loop = asyncio.get_event_loop()
    except (RuntimeError, DeprecationWarning):
        return None
    return None if loop.is_closed() or loop.is_running() else loop
