"""Coroutines that share objects of an event loop."""
import asyncio

limit = None
later = []


async def in_turn():
    """Uses a semaphore that an earlier call has created."""
    global limit
    limit = limit or asyncio.Semaphore(1)
    await asyncio.gather(waits(), waits())
    return id(asyncio.get_running_loop())


async def waits():
    async with limit:
        await asyncio.sleep(0.001)


def old_way():
    return asyncio.get_event_loop().run_until_complete(in_turn())


def own_loop():
    asyncio.run(asyncio.sleep(0))


def closes_the_loop():
    loop = asyncio.get_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def loop_state():
    loop = asyncio.get_running_loop()
    return [loop.get_debug(), str(loop.get_task_factory()), str(loop.get_exception_handler())]


async def changes_the_loop():
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.set_task_factory(lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop, **options))
    loop.set_exception_handler(lambda loop, context: None)


async def leaves_tasks():
    asyncio.ensure_future(appends_for_ever())
    asyncio.ensure_future(is_slow_to_end())
    await asyncio.sleep(0.005)


async def appends_for_ever():
    while True:
        later.append("more")
        await asyncio.sleep(0)


async def is_slow_to_end():
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.01)
        later.append("ended")


def leaves_a_task_unrun():
    task = asyncio.get_event_loop().create_task(appends_for_ever())
    later.append(task and "created")


async def leaves_a_generator():
    async for item in numbers():
        return item


async def numbers():
    try:
        while True:
            yield 1
    finally:
        await asyncio.sleep(0)
        later.append("closed")


async def never_ends():
    asyncio.ensure_future(refuses_to_end())
    await asyncio.sleep(0)


async def refuses_to_end():
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass


async def taken():
    """Returns what tasks have left since the last call, after letting other tasks run."""
    await asyncio.sleep(0.005)
    found, later[:] = later[:], []
    return [each for index, each in enumerate(found) if each != found[index - 1] or index == 0]
