#!/usr/bin/env python3
"""`#[memory]` and `#[timeout]` choose AWS Lambda functions, in the stand-in of tests/lambda/service.py:

    sizes.py HARK [--only NAME] [--rounds N]
"""
import argparse
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

from instance import Instance, equal

PROJECT = Path(__file__).resolve().parent / "sized"
MAIN, LARGE, LONG = "hark-test", "hark-test-m1024-t240", "hark-test-m512-t610"


def of(instance):
    """The number of invocations of each function."""
    return {name: instance.counts[f"of {name}"] for name in (MAIN, LARGE, LONG)}


def check_calls(hark, _):
    """Each call is made by a function that is large enough, and has enough time."""
    with Instance(hark, project=PROJECT, recover=0) as instance:
        equal(instance.report(instance.begin("main"))["result"], [MAIN, LARGE, LONG, LONG])
        # The call that takes long fits where there is more memory, but not into the time there.
        equal(of(instance), {MAIN: 1, LARGE: 1, LONG: 1})
        equal((instance.counts["refused"], instance.counts["failed"]), (0, 0))


def check_fan_out(hark, _):
    """Threads that need a large function go there for their calls."""
    with Instance(hark, project=PROJECT, recover=0) as instance:
        result = instance.report(instance.begin("fan_out", 40))["result"]
        assert all(of_large == LARGE and of_main in (MAIN, LARGE) for of_main, of_large in result), result
        print(f"   40 threads: {of(instance)}", flush=True)


def check_home(hark, _):
    """A thread continues at its home, whatever wakes it: a command, which knows no sizes, or the timer queue."""
    with Instance(hark, project=PROJECT, recover=0) as instance:
        session = instance.begin("at_home")
        instance.until(lambda: "future `go/on`" in instance.command("show", session))
        instance.command("resolve", f"{session}/go/on", "1")
        equal(instance.report(session)["result"], [LARGE, LARGE])
        equal(instance.report(instance.begin("sleeps"))["result"], [LARGE, LARGE])
        equal(instance.counts["failed"], 0)


def on_terminal(command, instance, wanted):
    """Starts a command whose standard error is a terminal, and waits until it shows this."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
    started = subprocess.Popen(command, env={**instance.service.variables(), "TERM": "xterm"}, cwd=PROJECT, text=True,
                               stdout=subprocess.PIPE, stderr=its)
    os.close(its)
    shown, end = "", time.monotonic() + 60
    while wanted not in shown:
        assert time.monotonic() < end, shown
        if select.select([ours], [], [], 1)[0]:
            shown += re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", os.read(ours, 65_536).decode(errors="replace"))
    # What nobody reads would stop it.
    threading.Thread(target=drain, args=[ours], daemon=True).start()
    return started


def drain(terminal):
    with contextlib.suppress(OSError):
        while os.read(terminal, 65_536):
            pass


def check_waiting(hark, _):
    """Each command that says what a thread does says for which function a call waits."""
    with Instance(hark, project=PROJECT, recover=0) as instance:
        functions, held = instance.service.functions, []
        send, functions.send = functions.send, lambda *sent: held.append(sent) or (202, None)
        large = "a function with 1024 MB"
        invoked = on_terminal([hark, "invoke"], instance, f"s for {large}")

        def told(command, *words):
            done = subprocess.run([hark, command, "--deployed", *words], env=instance.service.variables(), cwd=PROJECT, check=True,
                                  capture_output=True, text=True)
            return done.stdout
        assert f": waiting for {large} to call large," in told("show"), told("show")
        last = json.loads(told("timeline", "--json"))[0]["stretches"][-1]
        equal((last["kind"], last["what"]), ("wait", large))
        functions.send = send
        for sent in held:
            send(*sent)
        equal(json.loads(invoked.communicate(timeout=60)[0]), [MAIN, LARGE, LONG, LONG])
        events = told("events")
        for waited in (f"waits for {large} to call large\n", "waits for a function for calls of 600 s to call long\n"):
            assert waited in events, events
        queued = [event for event in json.loads(told("events", "--json")) if event["event"] == "queued"]
        equal([(event["function"], event["memory"], event["seconds"]) for event in queued], [("large", 1024, None), ("long", None, 600)])
        assert "pool" not in events and all("pool" not in event for event in queued), events


def check_pools(hark, _):
    """Functions run threads of every pool, even if the recovery hands them over, and no command says that they wait for a worker."""
    with Instance(hark, project=PROJECT, recover=0) as instance:
        session = instance.begin("pools")
        instance.until(lambda: "future `go/on`" in instance.command("show", session))
        shown = instance.command("show", session)
        assert "gpu" not in shown.replace('#[pool("gpu")]', ""), shown
        instance.command("resolve", f"{session}/go/on", "1")
        equal(instance.report(session)["result"], [MAIN, MAIN])
        equal(instance.counts["failed"], 0)
    with Instance(hark, project=PROJECT, drop=0.5, seed=7) as instance:
        session = instance.begin("pools")
        instance.until(lambda: "future `go/on`" in instance.command("show", session))
        instance.command("resolve", f"{session}/go/on", "1")
        equal(instance.report(session, 300)["result"], [MAIN, MAIN])


def check_faults(hark, given):
    """Of ten invocations, one is lost and one is duplicated."""
    for seed in range(1, given.rounds + 1):
        with Instance(hark, project=PROJECT, drop=0.1, double=0.1, seed=seed) as instance:
            result = instance.report(instance.begin("fan_out", 40), 300)["result"]
            assert all(of_large == LARGE for _, of_large in result), result
            print(f"   seed {seed}: {of(instance)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    checks = {name.removeprefix("check_"): each for name, each in globals().items() if name.startswith("check_")}
    for name, each in checks.items():
        if given.only is None or name in given.only:
            begun = time.monotonic()
            each(given.hark.resolve(), given)
            print(f"{name}: {each.__doc__} {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
