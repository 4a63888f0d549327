#!/usr/bin/env python3
"""Sessions that are run by functions of AWS Lambda, in AWS's emulator of their runtime (tests/lambda/service.py):

    check.py HARK [--only NAME] [--threads N] [--rounds N]

Each check has an instance of its own. `faults` is repeated with `--rounds` seeds, and starts `--threads` threads.
"""
import argparse
import json
import subprocess
import time
import urllib.request
from pathlib import Path

import service

PACKAGE = Path(__file__).resolve().parent / "package"


def asked(**options):
    parser = argparse.ArgumentParser()
    service.options(parser)
    return parser.parse_args([f"--{name.replace('_', '-')}={value}" for name, value in options.items()])


class Instance:
    """An instance, and what can be done with it."""

    def __init__(self, hark, **options):
        self.hark, self.context = hark, service.running(asked(**options), hark, PACKAGE)

    def __enter__(self):
        self.service = self.context.__enter__()
        return self

    def __exit__(self, *error):
        return self.context.__exit__(*error)

    @property
    def counts(self):
        return self.service.counts

    def invoke(self, **event):
        """The answer to a synchronous invocation."""
        url = f"http://{self.service.address}/2015-03-31/functions/{service.FUNCTION}/invocations"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(event).encode())) as answer:
            return json.load(answer)

    def command(self, *words):
        done = subprocess.run([self.hark, words[0], "-s", "dynamodb", *words[1:]], env=self.service.variables(), cwd=PACKAGE,
                              capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def begin(self, function, *arguments):
        return self.command("run", "--detach", "-f", function, "--args", json.dumps(arguments))

    def report(self, session, seconds_max=120):
        """The report of a session that has ended."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds_max:
            report = json.loads(self.command("show", session, "--json"))
            if report["ended"] is not None:
                return report
            time.sleep(0.1)
        raise AssertionError(f"session {session} does not end: {self.command('show', session)}\n{self.counts}")


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def check_one_invocation(hark, _):
    """A session of ten calls that is started directly is one invocation, and one event starts one session."""
    with Instance(hark, recover=0) as instance:
        report = instance.invoke(function="main", args=[10], key="order 17")
        equal((report["status"], report["result"]), ("finished", [n * 2 for n in range(10, 0, -1)]))
        equal(instance.invoke(function="main", args=[10], key="order 17")["session"], report["session"])
        equal(dict(instance.counts), {"invocations": 2, "synchronous": 2})


def check_fan_out(hark, _):
    """Threads that find no room go on in further invocations, which are given several of them."""
    with Instance(hark, recover=0) as instance:
        report = instance.report(instance.begin("fan_out", 100))
        equal(report["result"], sum(n * 2 + 1 for n in range(100)))
        assert 3 < instance.counts["invocations"] < 50, instance.counts


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
        instance.service.send_messages = lambda batch: (200, {"Successful": []})
        session = instance.begin("nap", 8)
        time.sleep(4)
        del instance.service.send_messages
        report = instance.report(session)
        assert 8 <= report["took"] < 20, report["took"]


def check_computing(hark, _):
    """A thread that computes for longer than a function may run goes on in other invocations."""
    with Instance(hark, recover=0, timeout=4) as instance:
        equal(instance.report(instance.begin("count", 8_000_000_000))["result"], "counted")
        assert instance.counts["invocations"] > 1, instance.counts
        equal(instance.counts["failed"], 0)


def check_timeout(hark, _):
    """A call that takes too long fails before the function's end."""
    with Instance(hark, recover=0, timeout=6) as instance:
        equal(instance.report(instance.begin("hung", 60))["result"], "timeout")
        equal(instance.counts["failed"], 0)


def check_resolve(hark, _):
    """A command from outside wakes a thread by an invocation."""
    with Instance(hark, recover=0) as instance:
        session = instance.begin("asks")
        while "future `answer/x`" not in instance.command("show", session):
            time.sleep(0.1)
        instance.command("resolve", f"{session}/answer/x", "42")
        equal(instance.report(session)["result"], 42)


def check_throttling(hark, _):
    """An invocation that is refused because there are too many is tried again."""
    with Instance(hark, recover=0, throttle=0.5) as instance:
        equal(instance.report(instance.begin("fan_out", 60))["result"], sum(n * 2 + 1 for n in range(60)))
        assert instance.counts["throttled"] > 0, instance.counts


def check_faults(hark, given):
    """One in twenty invocations is lost, one is doubled and one is killed."""
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
    given = parser.parse_args()
    checks = {name.removeprefix("check_"): check for name, check in globals().items() if name.startswith("check_")}
    for name, check in checks.items():
        if given.only is None or name in given.only:
            begun = time.monotonic()
            check(given.hark.resolve(), given)
            print(f"{name}: {check.__doc__} {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
