#!/usr/bin/env python3
"""Sessions that are run by AWS Lambda functions, in AWS's emulator of their runtime (tests/lambda/service.py):

    check.py HARK [--bundled] [--only NAME] [--jobs N] [--threads N] [--slots N] [--rounds N]

Each check has its own instance. `faults` is repeated with `--rounds` seeds, and starts `--threads` threads. With
`--bundled` all functions have the runtime without Python, and a copy of this Python in their packages.
"""
import argparse
import contextlib
import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bundled
from instance import COMMON, Instance, equal
from stand_in.emulator import Emulator

# The maximum length of a chain of invocations.
HOPS_MAX = 10_000


def check_one_invocation(hark, _):
    """A session of ten calls that is started directly is one invocation, and one event starts one session."""
    with Instance(hark, recover=0) as instance:
        report = instance.invoke(function="main", args=[10], key="order-17")
        equal((report["status"], report["result"]), ("finished", [n * 2 for n in range(10, 0, -1)]))
        equal(instance.invoke(function="main", args=[10], key="order-17")["session"], report["session"])
        for event in ({"args": [11]}, {"args": [11], "wait": False}, {"function": "nap", "args": [10]}):
            answer = instance.invoke(**{"function": "main", "key": "order-17"} | event)
            equal(answer["errorType"], "Hark.Refused")
            call = f"{event.get('function', 'main')}({event['args'][0]})"
            wanted = f"error: the key `order-17` belongs to a session that was started with `main(10)`, not `{call}`\nhint: it is the session {report['session']};"
            assert answer["errorMessage"].startswith(wanted), answer
        equal((len(instance.sessions()), instance.counts["invocations"], instance.counts["synchronous"]), (1, 5, 5))


def check_fan_out(hark, _):
    """Threads that find no room continue in further invocations, several in each."""
    with Instance(hark, recover=0) as instance:
        report = instance.report(instance.begin("fan_out", 100))
        equal(report["result"], sum(n * 2 + 1 for n in range(100)))
        assert 3 < instance.counts["invocations"] < 50, instance.counts
        equal((instance.counts["stray"], instance.counts["refused"]), (0, 0))


def check_chain(hark, _):
    """200 awaits in a row."""
    with Instance(hark, recover=0) as instance:
        equal(instance.report(instance.begin("chain", 200))["result"], 200)


def check_sleep(hark, _):
    """A sleep is a message that the queue delays."""
    with Instance(hark, recover=0) as instance:
        report = instance.report(instance.begin("nap", 4))
        equal(report["result"], "rested")
        assert 4 <= report["took"] < 15, report["took"]
        equal((instance.counts["messages"], instance.counts["invocations"]), (1, 2))


def check_long_sleep(hark, _):
    """A hint for later that was lost is sent again by the recovery, in time."""
    with Instance(hark, recover=2) as instance:
        instance.service.send_messages = lambda batch, caller: (200, {"Successful": []})
        session = instance.begin("nap", 8)
        time.sleep(4)
        del instance.service.send_messages
        report = instance.report(session)
        assert 8 <= report["took"] < 20, report["took"]


def check_computing(hark, _):
    """A thread that computes for longer than an invocation may last continues in other invocations."""
    with Instance(hark, recover=0, timeout=4) as instance:
        equal(instance.report(instance.begin("count", 8_000_000_000))["result"], "counted")
        assert instance.counts["invocations"] > 1, instance.counts
        equal(instance.counts["failed"], 0)


def check_timeout(hark, _):
    """A call that takes too long fails before the function's end."""
    with Instance(hark, recover=0, timeout=6) as instance:
        kind, message = instance.report(instance.begin("hung", 60))["result"]
        equal(kind, "timeout")
        assert re.fullmatch(r"`src.steps.hang` did not end within the [0-4](\.\d)? s that its invocation had left; .*`lambda_timeout`.*", message), message
        equal(instance.counts["failed"], 0)


def check_hops(hark, _):
    """A chain of too many invocations is left to the recovery, which begins a new one."""
    with Instance(hark, recover=0) as instance:
        functions, hops = instance.service.functions, []

        def send(version, event, chain):
            """The first invocation is told that it ends a chain of `begun` others."""
            event = json.loads(event)
            if not hops:
                event["hops"] = begun
            hops.append(event["hops"])
            return type(functions).send(functions, version, json.dumps(event).encode(), chain)

        def ended():
            instance.invoke(hark=1, recover=True)
            return instance.sessions()[0]["state"] == "finished"

        functions.send = send
        for begun, follows in (HOPS_MAX - 1, HOPS_MAX), (HOPS_MAX, 1):
            hops.clear()
            session = instance.begin("fan_out", 60)
            instance.until(ended)
            assert hops[1] == follows and max(hops) <= HOPS_MAX, hops
            equal(instance.report(session)["result"], sum(n * 2 + 1 for n in range(60)))


def check_resolve(hark, _):
    """A command from outside wakes a thread by an invocation."""
    with Instance(hark, recover=0) as instance:
        session = instance.begin("asks")
        while "future `answer/x`" not in instance.command("show", session):
            time.sleep(0.1)
        instance.command("resolve", f"{session}/answer/x", "42")
        equal(instance.report(session)["result"], 42)


def check_throttling(hark, _):
    """An invocation that is refused because too many are running is retried."""
    with Instance(hark, recover=0, throttle=0.5) as instance:
        equal(instance.report(instance.begin("fan_out", 60))["result"], sum(n * 2 + 1 for n in range(60)))
        assert instance.counts["throttled"] > 0, instance.counts


def check_schedule(hark, _):
    """A schedule starts a session each time, at its rate. Two minutes are a second here."""
    with Instance(hark, 'schedules = [["rate(2 minutes)", "nightly"]]', recover=0.5) as instance:
        instance.until(lambda: instance.counts["fired hark-test-schedule-0"] >= 2)
        instance.until(lambda: [(each["function"], each["state"]) for each in instance.sessions()][:2] == [("nightly", "finished")] * 2)


def check_variables(hark, _):
    """A function has the environment variables of the project's file, and the memory and timeout of the settings."""
    with Instance(hark, 'env = "vars"\nlambda_memory = 640\nlambda_timeout = 33', recover=0) as instance:
        names = ["STAGE", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME"]
        equal(instance.invoke(function="variables", args=[names])["result"], ["test", "640", "hark-test"])


def check_deployments(hark, _):
    """Each deployment has an alias of its own, and `current` is the last one."""
    with Instance(hark, recover=0) as instance:
        first, = {alias for _, alias in instance.service.functions.aliases} - {"current"}
        instance.deploy(lambda folder: change(folder / "service.hk", "fn nightly() { 1 }", "fn nightly() { 2 }"))
        second, = {alias for _, alias in instance.service.functions.aliases} - {"current", first}
        event = json.dumps({"function": "nightly"}).encode()
        results = [instance.ask("RequestResponse", event, alias=alias)["result"] for alias in (first, second, "current")]
        equal(results, [1, 2, 2])


def check_answers(hark, _):
    """Numbers of any size arrive unchanged. A report that does not fit into an answer is cut."""
    with Instance(hark, recover=0) as instance:
        for number in (123456789012345678901234567890, -9223372036854775809, 0.1):
            equal(instance.invoke(function="same", args=[number])["result"], number)
        for function, arguments in ("nested", [1, 200]), ("no_number", []), ("longer", ["0123456789abcdef", 19]):
            answer = instance.invoke(function=function, args=arguments)
            equal((answer["status"], answer["incomplete"]), ("finished", True))
            equal(json.loads(instance.command("show", answer["session"], "--json"))["status"], "finished")
        equal(instance.counts["failed"], 0)


def check_versions(hark, _):
    """A session continues with the code with which it began, whatever wakes it. If that is gone, it continues with the newest."""
    with Instance(hark, recover=0) as instance:
        first, = {alias for _, alias in instance.service.functions.aliases} - {"current"}
        kept, gone, broken = (instance.invoke(function="versions")["session"] for _ in range(3))
        instance.deploy(lambda folder: change(folder / "src/steps.py", "return 1", "return 2"))
        instance.command("resolve", f"{kept}/answer/x", "42")
        equal(instance.report(kept)["result"], [1, 42, 1])
        instance.command("fail", f"{broken}/answer/x", "no")
        instance.until(lambda: json.loads(instance.command("show", broken, "--json"))["status"] == "broken")
        for name, alias in list(instance.service.functions.aliases):
            if alias == first:
                del instance.service.functions.aliases[name, alias]
        instance.command("resolve", f"{gone}/answer/x", "43")
        equal(instance.report(gone)["result"], [1, 43, 2])


def change(path, before, after):
    text = path.read_text()
    assert before in text, before
    path.write_text(text.replace(before, after))


def check_mistakes(hark, _):
    """A function whose program is rejected, or that has a wrong variable, says so in its answer: what, where, and what to do."""
    with Instance(hark, recover=0) as instance:
        (instance.service.folder / "task/service.hk").write_text("fn main() { lenght([]) }\n")
        answer = instance.invoke(function="main")
        equal(answer["errorType"], "Hark.Refused")
        for part in ("nothing named `lenght` is known", "service.hk:1:13", "hint: did you mean `length`?", "`hark deploy` deploys what was mended"):
            assert part in answer["errorMessage"], answer
        equal(subprocess.run([hark, "invoke"], env=instance.service.variables(), cwd=instance.project, capture_output=True,
                             text=True).stderr, answer["errorMessage"] + "\n")
    for name, value, why in ("HARK_INSTANCE", "Shop", "`Shop` cannot be"), ("HARK_INSTANCE", "", "is not set"), ("HARK_SIZE", "big", "`big` is no size"):
        def edit(template):
            for resource in template["Resources"].values():
                if resource["Type"] == "AWS::Lambda::Function":
                    resource["Properties"]["Environment"]["Variables"][name] = value
        with Instance(hark, edit=edit, recover=0) as instance:
            answer = instance.invoke(function="nightly")
            equal(answer["errorType"], "Hark.CannotBegin")
            for part in (f"the variable {name}", why, "hint: `hark deploy` sets it"):
                assert part in answer["errorMessage"], answer


def check_unreachable_table(hark, _):
    """A failure inside a function is told as one of the function, not of the machine where the command is given."""
    with Instance(hark, recover=0) as instance:
        network = instance.service.network() | {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"}
        instance.service.functions.pool.make = lambda version: Emulator(version, network, instance.service.log)
        done = subprocess.run([hark, "invoke", "-f", "nightly"], env=instance.service.variables(), cwd=instance.project,
                              capture_output=True, text=True)
        equal(done.returncode, 1)
        assert done.stderr.startswith("error: the function `hark-test` failed: "), done.stderr
        assert "; the function `hark-test` cannot reach the endpoint `http://127.0.0.1:1`" in done.stderr, done.stderr
        assert "this machine" not in done.stderr, done.stderr


def check_dead_letters(hark, _):
    """An event that fails is tried twice more with the same id, and then becomes a dead letter, as does a message that fails five times."""
    with Instance(hark, recover=0, hurry=10_000) as instance:
        instance.ask("Event", b'{"function": "missing"}')
        instance.until(lambda: len(instance.dead_letters) == 1)
        equal([len(instance.service.failures), len({id for id, _ in instance.service.failures})], [3, 1])
        equal(json.loads(instance.dead_letters[0].body), {"function": "missing"})
        timers = next(queue for queue in instance.service.queues.values() if queue.name == "hark-test-timers")
        timers.send("none of Hark's", 0)
        instance.until(lambda: len(instance.dead_letters) == 2)
        equal((instance.dead_letters[1].body, timers.messages), ("none of Hark's", []))


def check_bad_message(hark, _):
    """Only the message that cannot be read is delivered again: the timers beside it run at once."""
    with Instance(hark, recover=0, slots=1) as instance:
        timers = next(queue for queue in instance.service.queues.values() if queue.name == "hark-test-timers")
        session = instance.begin("nap", 1)
        instance.until(lambda: instance.counts["messages"] == 1)
        for _ in range(5):
            timers.send("none of Hark's", 1)
        report = instance.report(session, 20)
        assert report["took"] < 15, report["took"]
        equal(instance.counts["failed"], 0)


def check_recursion(hark, _):
    """A chain of more invocations than AWS allows by default continues, because the functions allow it."""
    with Instance(hark, recover=0) as instance:
        equal(instance.report(instance.begin("naps", 20))["result"], "rested")
        assert instance.counts["invocations"] > 20 and not instance.counts["recursions"], instance.counts


def check_recursion_by_default(hark, _):
    """Without that, AWS would end it."""
    def forget(template):
        for resource in template["Resources"].values():
            resource["Properties"].pop("RecursiveLoop", None)

    with Instance(hark, recover=0, edit=forget) as instance:
        instance.begin("naps", 20)
        instance.until(lambda: instance.counts["recursions"] == 1)


def check_packages(hark, _):
    """The packages that are uploaded, for the managed runtime and with a Python in them, run Python functions."""
    with Instance(hark, recover=0, packed=True) as instance:
        equal(instance.invoke(function="main", args=[1])["result"], [2])
    if why := bundled.hindrance():
        print(f"SKIPPED: a package with a Python in it, because {why}")
        return
    with bundled.settings() as settings, Instance(hark, "" if COMMON else settings, recover=0, packed=True) as instance:
        python = instance.service.folder / "task/python"
        equal(instance.invoke(function="interpreter")["result"], [str(python / "bin/python3"), str(python)])


def check_faults(hark, given):
    """Of twenty invocations, one is lost, one is duplicated and one is killed."""
    for seed in range(1, given.rounds + 1):
        with Instance(hark, drop=0.05, double=0.05, kill=0.05, seed=seed, slots=given.slots) as instance:
            begun = time.monotonic()
            report = instance.report(instance.begin("fan_out", given.threads), 600)
            equal(report["result"], sum(n * 2 + 1 for n in range(given.threads)))
            print(f"   seed {seed}: {time.monotonic() - begun:.0f} s, {dict(instance.counts)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--threads", type=int, default=100)
    parser.add_argument("--slots", type=int, default=4, help="how many invocations run at a time")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="how many checks at a time: many of them wait")
    parser.add_argument("--bundled", action="store_true", help="with a Python in each package")
    given = parser.parse_args()
    checks = {name.removeprefix("check_"): check for name, check in globals().items() if name.startswith("check_")}

    def run(name):
        begun = time.monotonic()
        checks[name](given.hark.resolve(), given)
        print(f"{name}: {checks[name].__doc__} {time.monotonic() - begun:.0f} s", flush=True)

    with contextlib.ExitStack() as stack:
        if given.bundled and (why := bundled.hindrance()):
            raise SystemExit(f"SKIPPED: functions with a Python in their packages, because {why}")
        if given.bundled:
            COMMON.append(stack.enter_context(bundled.settings()))
        pool = stack.enter_context(ThreadPoolExecutor(given.jobs))
        for _ in pool.map(run, [name for name in checks if given.only is None or name in given.only]):
            pass


if __name__ == "__main__":
    main()
