#!/usr/bin/env python3
"""Counts the cost of sessions in DynamoDB, and prints the table of docs/guide/dynamodb.md.

    dynamodb.py [--hark PATH] [--check | --write] [--small]

API calls and capacity units are counted by the proxy of tests/dynamodb, in front of a server that computes units as AWS documents
them: transactions cost double, writes of indexes extra. A row is the difference between a program that does something often and
one that does it less often, for each time. Dollars are the units at the prices below, on demand in us-east-1. `--write` puts the
table into the guide; `--check` compares the guide's with what is counted now, and fails if that differs by more than timing
explains.
"""
import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
sys.path.insert(0, str(ROOT / "tests/dynamodb"))
import proxy  # noqa: E402
import server  # noqa: E402

GUIDE = ROOT / "docs/guide/dynamodb.md"
BEGIN, END = "<!-- made by benches/dynamodb.py -->\n", "<!-- end -->\n"
# Dollars for a million: write and read request units of DynamoDB, state transitions of Step Functions (Standard), operations of
# Lambda durable functions. As published by AWS in 2026.
WRITE_UNIT, READ_UNIT, TRANSITION, OPERATION = 0.625, 0.125, 25, 8
SECONDS_MAX = 300
IDLE_SECONDS = 10
# The tolerance for differences from the guide's table: reads of progress depend on timing.
MORE_MAX, LESS_MAX, SLACK = 1.3, 0.5, 0.5

# Here only programs are written by it.
PROGRAM_CALL = "BatchWriteItem"

PROGRAM = """
import(step, work, 1);
fn noop() { 0 }
fn fan(n) { sum(await map(range(parse_int(n)), lambda (i) { async noop() })) }
fn chain(n) { chained(parse_int(n)) }
fn chained(n) { if n > 0 { await async noop(); chained(n - 1) } }
fn steps(n) { stepped(parse_int(n)) }
fn stepped(n) { if n > 0 { step(n); stepped(n - 1) } }
fn naps(n) { napped(parse_int(n)) }
fn napped(n) { if n > 0 { sleep(0.02); napped(n - 1) } }
"""


@dataclass
class Cost:
    """The cost of one unit of work."""

    calls: float
    writes: float
    reads: float

    def minus(self, other, times):
        return Cost(*((mine - its) / times for mine, its in zip(self.parts(), other.parts())))

    def parts(self):
        return self.calls, self.writes, self.reads

    def dollars(self):
        """The price of a million."""
        return self.writes * WRITE_UNIT + self.reads * READ_UNIT


class Bench:
    """A project with its own table, and the proxy in front of it."""

    def __init__(self, hark, direct, address):
        self.hark, self.direct, self.address = hark, server.environment(direct), address
        self.folder = Path(tempfile.mkdtemp(prefix="hark-bench-"))
        (self.folder / "src").mkdir()
        (self.folder / "x.hk").write_text(PROGRAM)
        (self.folder / "src/work.py").write_text("def step(n):\n    return n\n")
        # Long enough that no lease is renewed during a count.
        (self.folder / "hark.toml").write_text('[project]\nstorage = "dynamodb"\n[sessions]\nlease = 600\n')
        self.environment = server.environment(address)
        self.ask("storage", "init")

    def start(self, *words, environment=None):
        return subprocess.Popen([self.hark, *words], cwd=self.folder, env=environment or self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask(self, *words, **more):
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=SECONDS_MAX)
        if process.returncode != 0:
            raise SystemExit(f"{words}: {out}{err}")
        return out.strip()

    def counted(self, does):
        """The cost of some work, without polling, and without storing the program."""
        server.ask(self.address, "/reset", "POST")
        does()
        counts = server.ask(self.address, "/counts")
        calls = {name: count for name, count in counts["requests"].items() if name != PROGRAM_CALL}
        units = counts["units_by_call"]
        of = lambda names: sum(units.get(name, 0) for name in names if name != PROGRAM_CALL)
        return Cost(sum(calls.values()), of(proxy.WRITES), of(proxy.READS))

    def run(self, function, count):
        return self.counted(lambda: self.ask("run", "-q", "x.hk", "-f", function, str(count)))

    def each(self, function, few, many):
        """The cost of each of the things that a function does this many times."""
        return self.run(function, many).minus(self.run(function, few), many - few)

    def bench(self, sessions):
        return self.counted(lambda: self.ask("bench", "x.hk", "-f", "noop", "--sessions", str(sessions)))

    def left(self, count):
        """Sessions that separate processes create and a worker runs."""
        finished = lambda: len(self.ask("sessions", "-q", "--state", "finished", environment=self.direct).split())
        def leave_and_run():
            expected = finished() + count
            for _ in range(count):
                self.ask("run", "--detach", "x.hk", "-f", "noop")
            worker = self.start("worker", "-q")
            while finished() < expected:
                time.sleep(0.05)
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=SECONDS_MAX)
        return self.counted(leave_and_run)

    def idle(self):
        """The cost of an idle worker in a second."""
        worker = self.start("worker", "-q")
        time.sleep(2)
        server.ask(self.address, "/reset", "POST")
        time.sleep(IDLE_SECONDS)
        counts = server.ask(self.address, "/counts")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=SECONDS_MAX)
        polls, units = counts["polls"], counts["units"]
        calls = polls["requests"] + sum(counts["requests"].values())
        return Cost(calls / IDLE_SECONDS, units["write"] / IDLE_SECONDS, (polls["read"] + units["read"]) / IDLE_SECONDS)


def rows(bench, is_small):
    """The rows of the table: the work, its cost, and its number of transitions and operations in other systems."""
    few, many = (5, 25) if is_small else (20, 220)
    # They are fast, and the cost of a few would be less than that of one look at running sessions.
    session = bench.bench(220).minus(bench.bench(20), 200)
    left = bench.left(2 * few).minus(bench.left(few), few)
    return [
        ("a session that does nothing, run in place", session, 1, 1),
        ("a session that is left to a worker", left, 1, 1),
        ("a thread of a fan-out: started, finished, awaited", bench.each("fan", few, many), 1, 1),
        ("`await async f()`: a thread is started, waited for, finished", bench.each("chain", few, many), 2, 2),
        ("a call of a Python function", bench.each("steps", few, many), 1, 1),
        ("a sleep", bench.each("naps", few, many), 1, 1),
    ]


def shown(number):
    return f"{number:.1f}".removesuffix(".0")


def table(found, idle):
    lines = ["| | calls | write units | read units | 1,000,000 of them | Step Functions | Lambda durable functions |",
             "|---|---|---|---|---|---|---|"]
    for what, cost, transitions, operations in found:
        lines.append(f"| {what} | {shown(cost.calls)} | {shown(cost.writes)} | {shown(cost.reads)} | ${cost.dollars():.2f} | "
                     f"${transitions * TRANSITION} | ${operations * OPERATION} |")
    month = 30 * 86_400
    lines += ["", f"A `hark worker` with nothing to do asks {shown(idle.calls)} times a second, which takes {shown(idle.reads)} read units: "
              f"${idle.dollars() / 1e6 * month:.2f} a month."]
    return "\n".join(lines) + "\n"


def check(text, found):
    """The numbers in the guide's table that are wrong."""
    cells = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| \$", text, re.MULTILINE)
    told = {what: Cost(*map(float, numbers)) for what, *numbers in cells}
    wrong = []
    for what, cost, *_ in found:
        if what not in told:
            wrong.append(f"the guide says nothing of {what}")
            continue
        for name, mine, its in zip(("calls", "write units", "read units"), cost.parts(), told[what].parts()):
            if mine > its * MORE_MAX + SLACK or mine < its * LESS_MAX - SLACK:
                wrong.append(f"{what}: {mine:.2f} {name}, of which the guide says {its}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hark", type=Path, default=ROOT / "target/ci/hark")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--small", action="store_true", help="do everything less often")
    given = parser.parse_args()
    with server.running() as direct, server.behind(direct, ["--keys", "p,r", "--units"]) as address:
        bench = Bench(given.hark.resolve(), direct, address)
        try:
            found = rows(bench, given.small)
            made = "" if given.check else table(found, bench.idle())
        finally:
            shutil.rmtree(bench.folder, ignore_errors=True)
    text = GUIDE.read_text()
    before, rest = text.split(BEGIN)
    told, after = rest.split(END)
    if given.check:
        wrong = check(told, found)
        print("\n".join(wrong) or "the table of the guide is right")
        raise SystemExit(bool(wrong))
    if given.write:
        GUIDE.write_text(before + BEGIN + made + END + after)
    print(made, end="")


if __name__ == "__main__":
    main()
