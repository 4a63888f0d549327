#!/usr/bin/env python3
"""Counts the API calls of sessions in DynamoDB, as a user starts them, and compares them with their bounds:

    calls.py HARK

A counting proxy stands between `hark` and the server. All calls count, those of polls and retries too; only the table is there
before. The exit status is 0 if no bound is exceeded.
"""
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import server

PROGRAM = """
import(identity, src.functions, 1);

fn noop() { 1 }
fn steps(n) { if n == 0 { "done" } else { identity(n); steps(n - 1) } }
fn hundred_steps() { steps(100) }
fn each(n) { n }
fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async each(n))) } }
fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }
fn fan_out() { total(start(1000, []), 0) }
fn mapped() { reduce(map_async(range(0, 1000), each), lambda (sum, n) { sum + n }, 0) }
"""
FUNCTIONS = "def identity(value):\n    return value\n"

SESSIONS, STEPS, THREADS = 100, 100, 1000
# How many sessions are left to a worker, and the maximum number of calls for each: two of the process that creates it, which also
# writes the program, and of the worker one to take its thread, which tells all that the step reads, and one to end it. An idle
# worker polls the index, which does not count here. The worker reads the program once, and looks once a second at what it runs,
# which on a slow machine is once at most of them.
LEFT, LEFT_CALLS, WORKER_CALLS = 40, 4, 40
# The calls that a process makes once: to write its program, to begin, to end, and to look a few times for changes of others.
ONCE = 40
# No item is written by more threads than this.
WRITES_MAX = 64

# A command, what it prints, and the maximum numbers of calls and of writes of one item.
RUN = ["run", "-s", "dynamodb", "-q", "program.hk", "-f"]
CASES = [
    (["bench", "-s", "dynamodb", "program.hk", "-f", "noop", "--sessions", str(SESSIONS)], None, SESSIONS + ONCE, 1),
    ([*RUN, "noop"], "1", ONCE, 3),
    # The thread's record is written with each call that it makes and with each result.
    ([*RUN, "hundred_steps"], "done", 2 * STEPS + ONCE, STEPS + 3),
    ([*RUN, "fan_out"], "500500", 5 * THREADS, WRITES_MAX),
    ([*RUN, "mapped"], "499500", 5 * THREADS, WRITES_MAX),
    # Each step of a thread in another process looks at the session. Polls and renewals of leases are more on a slow machine.
    ([*RUN, "fan_out", "-c", "processes"], "500500", 6 * THREADS, WRITES_MAX),
]
SECONDS_MAX = 300


def run(hark, address, folder, words):
    """What a command prints."""
    done = subprocess.run([hark, *words], cwd=folder, env=server.environment(address), capture_output=True, text=True,
                          timeout=SECONDS_MAX)
    return done.stdout.strip() or done.stderr.strip()


def left(hark):
    """Whether sessions that are left to a worker take no more calls than allowed."""
    with tempfile.TemporaryDirectory() as folder, server.running() as direct, \
            server.behind(direct, ["--keys", "p,r", "--units"]) as address:
        Path(folder, "program.hk").write_text("fn noop() { 1 }\n")
        # Long enough that no lease is renewed meanwhile.
        Path(folder, "hark.toml").write_text("[sessions]\nlease = 600\n")
        run(hark, direct, folder, ["storage", "init", "-s", "dynamodb"])
        for _ in range(LEFT):
            run(hark, address, folder, ["run", "-s", "dynamodb", "--detach", "program.hk", "-f", "noop"])
        finished = ["sessions", "-s", "dynamodb", "-q", "--state", "finished"]
        worker = subprocess.Popen([hark, "worker", "-s", "dynamodb", "-q"], cwd=folder, env=server.environment(address))
        begun = time.monotonic()
        while len(run(hark, direct, folder, finished).split()) < LEFT and time.monotonic() - begun < SECONDS_MAX:
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        worker.wait(SECONDS_MAX)
        counts = server.ask(address, "/counts")["requests"]
        are_done = len(run(hark, direct, folder, finished).split()) == LEFT
    calls, calls_max = sum(counts.values()), LEFT_CALLS * LEFT + WORKER_CALLS
    is_right = are_done and calls <= calls_max
    print(f"{'' if is_right else 'FAILED: '}{LEFT} sessions that are left to a worker: {calls} calls of at most {calls_max}, {counts}")
    return is_right


def main():
    hark = Path(sys.argv[1]).resolve()
    failed = 0
    with tempfile.TemporaryDirectory() as folder, server.running(proxy=["--keys", "p,r"]) as address:
        Path(folder, "program.hk").write_text(PROGRAM)
        Path(folder, "src").mkdir()
        Path(folder, "src/functions.py").write_text(FUNCTIONS)
        subprocess.run([hark, "storage", "init", "-s", "dynamodb"], env=server.environment(address), cwd="/", check=True)
        for words, expected, calls_max, writes_max in CASES:
            server.ask(address, "/reset", "POST")
            result = run(hark, address, folder, words)
            counts = server.ask(address, "/counts")
            calls, writes = sum(counts["requests"].values()), max([each["writes"] for each in counts["hottest"]], default=0)
            is_right = result == (expected or result) and 0 < calls <= calls_max and writes <= writes_max
            failed += not is_right
            print(f"{'' if is_right else 'FAILED: '}hark {' '.join(words)}: {calls} calls of at most {calls_max:.0f}, "
                  f"an item written {writes} times of at most {writes_max}", flush=True)
            if not is_right:
                print(f"    its result is {result!r}; {counts}")
    failed += not left(hark)
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
