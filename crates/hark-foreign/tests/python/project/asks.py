"""Functions that ask about their call."""
import asyncio
import os
import threading

import hark

try:
    AT_LOAD = hark.call_id()
except RuntimeError as error:
    AT_LOAD = str(error)

left_behind = []


def everything():
    return [hark.call_id(), hark.attempt(), hark.session_id(), hark.thread()]


def at_load():
    return AT_LOAD


async def in_coroutines():
    await asyncio.sleep(0)
    in_a_pool = asyncio.get_running_loop().run_in_executor(None, hark.call_id)
    there = await asyncio.gather(in_a_pool, asyncio.create_task(asked_later()))
    return [hark.attempt(), *there]


async def asked_later():
    await asyncio.sleep(0.001)
    return hark.call_id()


def in_a_thread():
    answers = []
    asking = threading.Thread(target=lambda: answers.append(everything()))
    asking.start()
    asking.join()
    return answers[0]


def in_a_fork():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, ("%s %d" % (hark.call_id(), hark.attempt())).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as answer:
        return answer.read()


def raises():
    raise ValueError(hark.call_id())


def leaves_a_thread_behind():
    """Starts a thread that asks until there is no call. `told_between_calls` returns the error that it gets then."""
    asking = threading.Thread(target=ask_until_refused, daemon=True)
    asking.start()


def ask_until_refused():
    try:
        while True:
            hark.thread()
    except RuntimeError as error:
        left_behind.append(str(error))


def told_between_calls():
    return list(left_behind)
