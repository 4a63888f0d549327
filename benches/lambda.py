#!/usr/bin/env python3
"""Counts the cost of sessions that AWS Lambda functions run, and prints the table of docs/guide/lambda.md.

    lambda.py [--hark PATH] [--check | --write] [--small]

The functions run in AWS's emulator of their runtime, as tests/lambda/service.py starts them. It says how many milliseconds of each invocation are
billed. Requests to the table and their capacity units are counted as in benches/dynamodb.py, and messages by the stand-in for the queue. The functions
have begun before something is counted. Prices are those of us-east-1, on demand, x86-64, beyond what is free. `--write` puts the table into the guide;
`--check` compares the guide's with what is counted now, but for GB-seconds, and fails if that differs by more than timing explains.
"""
import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
sys.path[:0] = [str(ROOT / "tests/lambda"), str(ROOT / "tests/dynamodb")]
import proxy  # noqa: E402
import server  # noqa: E402
import service as lambda_service  # noqa: E402
from stand_in.emulator import dynamodb  # noqa: E402

GUIDE = ROOT / "docs/guide/lambda.md"
BEGIN, END = "<!-- made by benches/lambda.py -->\n", "<!-- end of the costs -->\n"
# Prices in dollars. The guide names their sources.
INVOCATION, GB_SECOND, WRITE_UNIT, READ_UNIT, MESSAGE_REQUEST = 0.2e-6, 16.6667e-6, 0.625e-6, 0.125e-6, 0.4e-6
TRANSITION, EXPRESS_REQUEST, EXPRESS_GB_SECOND, OPERATION = 25e-6, 1e-6, 16.67e-6, 8e-6
# The billing units of an express workflow: a tenth of a second, and 64 MB.
EXPRESS_SECONDS, EXPRESS_GB = 0.1, 64 / 1024
QUIET_SECONDS, SECONDS_MAX = 3, 1200
MINUTES_OF_MONTH = 30 * 24 * 60
STEPS = 10
# The tolerance for differences from the guide's table: how many threads share an invocation depends on timing.
MORE_MAX, LESS_MAX, SLACK = 1.5, 0.5, 1

PROGRAM = """
import(step, src.work, 1);
fn noop() { 0 }
fn steps(n) { if n > 0 { step(n); steps(n - 1) } }
fn leaf(n) { step(n) }
fn fan(n) { length(map_async(range(n), leaf)) }
fn nap(seconds) { sleep(seconds) }
"""
# Long enough that no lease is renewed during a count.
SETTINGS = "[sessions]\nlease = 600\n"


@dataclass
class Cost:
    """The cost of one unit of work."""

    invocations: float
    gb_seconds: float
    writes: float
    reads: float
    messages: float

    def each(self, count):
        return Cost(*(part / count for part in astuple(self)))

    def dollars(self):
        prices = INVOCATION, GB_SECOND, WRITE_UNIT, READ_UNIT, MESSAGE_REQUEST
        return sum(part * price for part, price in zip(astuple(self), prices))


class Bench:
    def __init__(self, service, direct, log):
        self.service, self.direct, self.log = service, direct, log
        self.requests, self.send_messages = 0, service.send_messages
        service.send_messages = self.count_messages
        [size] = {each.properties["MemorySize"] for each in service.functions.versions.values()}
        self.gb = size / 1024

    def count_messages(self, call, caller):
        # It is sent together with others, received and deleted.
        self.requests += 1 + 2 * len(call["Entries"])
        return self.send_messages(call, caller)

    def counted(self, does):
        self.settle()
        server.ask(self.service.table, "/reset", "POST")
        invocations, requests, said = self.service.counts["invocations"], self.requests, self.log.stat().st_size
        does()
        self.settle()
        units = server.ask(self.service.table, "/counts")["units_by_call"]
        with open(self.log, "rb") as log:
            log.seek(said)
            billed = sum(int(ms) for ms in re.findall(rb"Billed Duration: (\d+) ms", log.read()))
        of = lambda names: sum(units.get(name, 0) for name in names)
        return Cost(self.service.counts["invocations"] - invocations, billed / 1000 * self.gb, of(proxy.WRITES), of(proxy.READS),
                    self.requests - requests)

    def settle(self):
        """Waits until nothing has been invoked for a while."""
        before, since, begun = None, time.monotonic(), time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS or not self.service.functions.pending.empty():
            if self.service.counts["invocations"] != before:
                before, since = self.service.counts["invocations"], time.monotonic()
            if time.monotonic() - begun > SECONDS_MAX:
                raise SystemExit("it does not end")
            time.sleep(0.1)

    def invoke(self, function, *arguments, kind="RequestResponse"):
        event = json.dumps({"function": function, "args": arguments}).encode()
        url = f"http://{self.service.address.services}/2015-03-31/functions/{lambda_service.FUNCTION}/invocations?Qualifier=current"
        with urllib.request.urlopen(urllib.request.Request(url, event, {"x-amz-invocation-type": kind})) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def finished(self):
        """The number of finished sessions, read past the proxy."""
        environment = {**self.service.variables(), "AWS_ENDPOINT_URL_DYNAMODB": f"http://{self.direct}"}
        listed = subprocess.run([self.service.hark, "sessions", "-q", "-s", "dynamodb", "--state", "finished"], env=environment, cwd="/",
                                check=True, capture_output=True, text=True)
        return len(listed.stdout.split())

    def run(self, count, *call, kind="RequestResponse"):
        """Runs sessions to their ends."""
        expected = self.finished() + count

        def does():
            for _ in range(count):
                self.invoke(*call, kind=kind)
            begun = time.monotonic()
            while self.finished() < expected:
                if time.monotonic() - begun > SECONDS_MAX:
                    raise SystemExit(f"{call} does not end")
                time.sleep(1)

        return self.counted(does).each(count)

    def recoveries(self, count):
        """Looks for lost threads where nothing is lost."""
        recovery = json.dumps({"hark": 1, "recover": True}).encode()
        [version] = {each for (name, _), each in self.service.functions.aliases.items() if name == lambda_service.FUNCTION}

        def does():
            for _ in range(count):
                self.service.functions.run(version, str(uuid.uuid4()), recovery, Counter())

        return self.counted(does).each(count)


def measured(hark, is_small):
    """The rows of the table: the work, its cost, and its number of transitions and operations in other systems."""
    sessions, threads, noops, recoveries = (3, 100, 50, 5) if is_small else (20, 1_000, 1_000, 20)
    places = {}

    @contextlib.contextmanager
    def table():
        with dynamodb.running() as direct, dynamodb.behind(direct, ["--keys", "p,r", "--units"]) as address:
            places["direct"] = direct
            yield address

    parser = argparse.ArgumentParser()
    lambda_service.options(parser)
    with tempfile.TemporaryDirectory() as folder:
        project, log = Path(folder, "project"), Path(folder, "log")
        (project / "src").mkdir(parents=True)
        (project / "service.hk").write_text(PROGRAM)
        (project / "src/work.py").write_text("def step(n):\n    return n\n")
        (project / "hark.toml").write_text(SETTINGS)
        asked = parser.parse_args(["--recover", "0", "--slots", "4", "--log", str(log)])
        with lambda_service.running(asked, hark, project, table=table) as service:
            bench = Bench(service, places["direct"], log)
            # Each function begins, and starts its Python.
            bench.run(8, "steps", 1, kind="Event")
            rows = [
                (f"a session of {STEPS} Python steps", bench.run(sessions, "steps", STEPS), STEPS, 1 + STEPS),
                ("a fan-out of 1,000 threads that call Python", bench.run(1, "fan", threads), 1_001, 1_001),
                ("a wait of a day", bench.run(sessions, "nap", 2), 1, 2),
                ("a session that does nothing", bench.run(noops, "noop", kind="Event"), 1, 1),
            ]
            if is_small:
                rows[1] = (rows[1][0], rows[1][1].each(threads / 1_000), *rows[1][2:])
            return rows, bench.recoveries(recoveries)


def express(what, cost, gb):
    """The price of one as an express workflow, which may last at most five minutes."""
    if "day" in what:
        return None
    seconds = max(EXPRESS_SECONDS, cost.gb_seconds / gb)
    return EXPRESS_REQUEST + seconds * EXPRESS_GB * EXPRESS_GB_SECOND


def dollars(one):
    """The price of a million."""
    million = one * 1e6
    return f"${million:.2f}" if million < 100 else f"${million:,.0f}"


def shown(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def table(rows, recovery, gb=0.5):
    lines = ["| | invocations | GB-seconds | write units | read units | SQS requests | 1,000,000 of them | Step Functions | express | Lambda durable functions |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for what, cost, transitions, operations in rows:
        quick = express(what, cost, gb)
        lines.append(f"| {what} | " + " | ".join(shown(part) for part in astuple(cost)) + f" | {dollars(cost.dollars())} | "
                     f"{dollars(transitions * TRANSITION)} | {dollars(quick) if quick else 'not possible'} | {dollars(operations * OPERATION)} |")
    month = recovery.each(1 / MINUTES_OF_MONTH)
    lines += ["", f"An instance where nothing happens looks for lost threads once a minute: {shown(month.invocations)} invocations a month, "
              f"{shown(month.gb_seconds)} GB-seconds, {shown(month.writes)} write units and {shown(month.reads)} read units, which is ${month.dollars():.2f}."]
    return "\n".join(lines) + "\n"


def check(text, rows):
    """The numbers in the guide's table that are wrong."""
    cells = re.findall(r"^\| (.+?) \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \| \$", text, re.MULTILINE)
    told = {what: Cost(*(float(number.replace(",", "")) for number in numbers)) for what, *numbers in cells}
    wrong = []
    for what, cost, *_ in rows:
        if what not in told:
            wrong.append(f"the guide says nothing of {what}")
            continue
        for name in "invocations", "writes", "reads", "messages":
            mine, its = getattr(cost, name), getattr(told[what], name)
            if not its * LESS_MAX - SLACK <= mine <= its * MORE_MAX + SLACK:
                wrong.append(f"{what}: {mine:.2f} {name}, of which the guide says {its}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hark", type=Path, default=ROOT / "target/release/hark")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--small", action="store_true", help="do everything less often")
    given = parser.parse_args()
    rows, recovery = measured(given.hark.resolve(), given.small)
    made = table(rows, recovery)
    print(made, end="")
    before, rest = GUIDE.read_text().split(BEGIN)
    told, after = rest.split(END)
    if given.write:
        GUIDE.write_text(before + BEGIN + made + END + after)
    if given.check:
        wrong = check(told, rows)
        print("\n".join(wrong) or "the table of the guide is right")
        raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
