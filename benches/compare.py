#!/usr/bin/env python3
"""Runs the same programs in Hark and in the other languages that are installed, and prints a table.

    compare.py [--hark PATH] [--only ROW ...] [--runs N] [--json]

A time is the user and system CPU time of the whole process on one core, the median of 5 runs, in which the languages
take turns (one that takes longer than 3 seconds runs only once); for `threads` and `hello` it is wall time, and `threads`
may use every core. Memory is the maximum resident set size. Hark is compared with Lua 5.4, or with CPython where the table
says so, or with another program of its own. All must print the same.
"""
import argparse
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROGRAMS = FOLDER / "programs"
MB = 1024  # ru_maxrss counts kilobytes
PR_SET_CHILD_SUBREAPER = 36
SECONDS_FOR_ONE_TURN = 3


@dataclass
class Row:
    """A row of the table: the program and its targets."""

    program: str
    title: str
    unit: str  # "x Lua", "x CPython", "x PROGRAM.hk", "s", "ms" or "MB"
    at_most: float
    aim: float
    wall: bool = False
    cores: int = 1
    memory: bool = False
    beyond_hello: bool = False

    def name(self):
        return self.program + ("_memory" if self.memory else "")

    def reference(self):
        return self.unit[2:] if self.unit.startswith("x ") else None

    def file(self, name, ending):
        """The program for a language, or Hark's own reference program; None if there is none."""
        path = PROGRAMS / (name if name.endswith(".hk") else f"{self.program}.{ending}")
        return path if path.exists() else None


ROWS = [
    Row("fib", "fib(32), recursive", "x Lua", 1.0, 0.7),
    Row("sum", "sum of 1 to 10,000,000, tail call", "x Lua", 1.0, 0.6),
    Row("pipeline", "map, filter, reduce over 1,000,000", "x Lua", 1.5, 0.9),
    Row("prelude", "the prelude's map, filter, reduce over 1,000,000", "x Lua", 1.2, 0.9),
    Row("lists", "1,000,000 appends, sum by nth", "x Lua", 2.0, 1.0),
    Row("mandelbrot", "Mandelbrot 400 x 400 x 50", "x Lua", 1.2, 0.9),
    Row("integer_keys", "500,000 sets and gets, integer keys", "x CPython", 1.0, 0.6),
    Row("string_keys", "500,000 sets and gets, string keys", "x CPython", 1.0, 0.6),
    Row("strings", '200,000 times s + "ab,", length', "s", 0.05, 0.02),
    Row("sort", "sort of 1,000,000 integers", "x CPython", 1.5, 1.0),
    Row("join_split", "10 times join and split of 200,000 pieces", "x CPython", 1.0, 0.8),
    Row("format", "500,000 times format", "x CPython", 1.0, 0.8),
    Row("closures", "5,000,000 closures made and called", "x Lua", 1.2, 1.0),
    Row("try", "10,000,000 calls in a try without an error", "x calls.hk", 1.02, 1.0),
    Row("raise", "1,000,000 errors raised and caught", "x CPython", 1.5, 1.0),
    Row("any", "any of 5,000 threads, until none is left", "s", 3.0, 1.0, cores=2),
    Row("threads", "1,000,000 threads, 1,000 at a time", "s", 3.0, 1.0, wall=True, cores=2),
    Row("hello", "hello, wall time", "ms", 2.0, 1.5, wall=True),
    Row("hello", "hello, memory", "MB", 6.0, 5.0, memory=True),
    Row("million", "list of 1,000,000 small integers, memory", "MB", 32.0, 32.0, memory=True, beyond_hello=True),
]


def languages(hark):
    """The languages installed here: name, command, and file extension of the programs."""
    known = [("Hark", [str(hark), "-q"], "hk")]
    for name, command, ending in (("Lua", "lua5.4", "lua"), ("LuaJIT", "luajit", "lua"), ("Node", "node", "js")):
        if path := shutil.which(command):
            known.append((name, [path], ending))
    # The interpreter that runs this file: the `python3` on the path may be a wrapper script, which takes time.
    known.insert(2 if known[1:2] and known[1][0] == "Lua" else 1, ("CPython", [sys.executable], "py"))
    return known


def available_cores(count):
    """The first `count` cores available to this process."""
    return set(sorted(ALL_CORES)[:count])


ALL_CORES = os.sched_getaffinity(0)


def finish(pid, command, output):
    """Waits for a process; returns its output and resource usage."""
    _, status, usage = os.wait4(pid, 0)
    output.seek(0)
    text = output.read().decode(errors="replace").strip()
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{text}")
    return text, usage


def measure_time(command, wall):
    """The output of a command, and its duration in seconds."""
    with tempfile.TemporaryFile() as output:
        actions = [(os.POSIX_SPAWN_DUP2, output.fileno(), 1)]
        begin = time.perf_counter()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        text, usage = finish(pid, command, output)
        elapsed = time.perf_counter() - begin
    return text, elapsed if wall else usage.ru_utime + usage.ru_stime


def measure_memory(command):
    """The output of a command, and its maximum resident set size in MB.

    Linux attributes the memory of the process that called `exec` to the new process, and ours is larger than many measured
    ones. So a small shell starts the command and exits (through `exec`, so that it cannot reap the command), and the orphan
    becomes our own child.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryFile() as output:
        starter = ["/bin/sh", "-c", f'"$@" >&{output.fileno()} & exec echo $!', "sh", *command]
        started = subprocess.run(starter, stdout=subprocess.PIPE, pass_fds=[output.fileno()], check=True)
        text, usage = finish(int(started.stdout), command, output)
    return text, usage.ru_maxrss / MB


def measure(row, peers, runs):
    """The median of each language for a row. The languages take turns."""
    if row.reference() and row.reference().endswith(".hk"):
        peers = [*peers, (row.reference(), peers[0][1], "hk")]
    peers = [(name, command + [str(file)]) for name, command, ending in peers if (file := row.file(name, ending))]
    os.sched_setaffinity(0, available_cores(row.cores))
    samples, printed = {name: [] for name, _ in peers}, {}
    for _ in range(runs):
        for name, command in peers:
            if samples[name] and samples[name][0] > SECONDS_FOR_ONE_TURN and not row.memory:
                continue
            text, value = measure_memory(command) if row.memory else measure_time(command, row.wall)
            printed[name] = text
            samples[name].append(value)
    os.sched_setaffinity(0, ALL_CORES)
    if len(set(printed.values())) > 1:
        raise SystemExit(f"{row.program}: the results differ: {printed}")
    return {name: statistics.median(values) for name, values in samples.items()}


def judge(row, medians, hello):
    """The figure to compare with the targets: a ratio, or an amount. None if the reference is not installed."""
    value = medians["Hark"]
    if row.reference():
        return value / medians[row.reference()] if row.reference() in medians else None
    if row.beyond_hello:
        return value - hello["Hark"]
    return value * 1000 if row.unit == "ms" else value


def verdict(row, judged):
    if judged is None:
        return "no reference"
    return "aim" if judged <= row.aim else "pass" if judged <= row.at_most else "MISS"


def shown(row, value):
    if value is None:
        return "-"
    if row.memory:
        return f"{value:.1f} MB"
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.3f} s"


def table(results):
    """The results as lines of text."""
    names = list(dict.fromkeys(name for result in results for name in result["medians"] if not name.endswith(".hk")))
    lines = [["", *names, "Hark is", "at most", "aim", ""]]
    for result in results:
        row, judged = result["row"], result["judged"]
        asked = [f"{number:g} {row.unit}" for number in (row.at_most, row.aim)]
        is_ = "-" if judged is None else f"{judged:.2f} {row.unit}"
        lines.append([row.title, *(shown(row, result["medians"].get(name)) for name in names), is_, *asked, result["verdict"]])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        yield "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])


def find_hark(asked):
    """The binary: the given one, else the release build, else the one on the path."""
    for path in [asked, FOLDER.parent / "target/release/hark", shutil.which("hark")]:
        if path and Path(path).exists():
            return Path(path).resolve()
        if path and path == asked:
            raise SystemExit(f"no binary at {asked}")
    raise SystemExit("no hark found: build it (cargo build --release) or pass --hark PATH")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hark", help="the binary (default: target/release/hark, else the path's)")
    parser.add_argument("--only", action="append", choices=[row.name() for row in ROWS], metavar="ROW",
                        help="only this row, may be given several times: " + ", ".join(row.name() for row in ROWS))
    parser.add_argument("--runs", type=int, default=5, help="runs of each program (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    peers, results, hello = languages(find_hark(asked.hark)), [], None
    for row in ROWS:
        if asked.only and row.name() not in asked.only:
            continue
        if row.beyond_hello:
            hello = measure(Row("hello", "", "MB", 0, 0, memory=True), peers, asked.runs)
        if not asked.json and sys.stderr.isatty():
            print(f"\r\033[K{row.title} ...", end="", file=sys.stderr, flush=True)
        medians = measure(row, peers, asked.runs)
        judged = judge(row, medians, hello)
        if row.beyond_hello:
            medians = {name: value - hello.get(name, 0) for name, value in medians.items()}
        results.append({"row": row, "medians": medians, "judged": judged, "verdict": verdict(row, judged)})
    if not asked.json and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if asked.json:
        print(json.dumps([{**vars(result["row"]), "name": result["row"].name(), **{key: result[key] for key in ("medians", "judged", "verdict")}}
                          for result in results], indent=2))
    else:
        print("\n".join(table(results)))


if __name__ == "__main__":
    main()
