#!/usr/bin/env python3
"""Runs the programs of tests/programs with a `hark` binary and checks the expectations in their `//!` lines.

    conformance.py HARK [FILE-OR-FOLDER ...] [--args "MORE HARK OPTIONS"]... [--jobs N]

tests/programs/README.md describes the lines. With several `--args`, everything is run once with each of them, concurrently,
because some runs compute and some wait for the disk. Failures are printed as they are found, then `N passed, N failed` for
each; the exit status is 0 if nothing failed.

For a binary that stores sessions by default, `--folder-in VARIABLE` names the environment variable for its folder: each run gets
a new one. `--without FILE:FUNCTION` skips a run that would take too long.
"""
import argparse
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from threading import Lock

PROGRAMS = Path(__file__).resolve().parent / "programs"
SECONDS_MAX = 300
# Temporary folders are created in memory, if possible.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None

# Matches programs that depend on timing: on a busy machine they may be late, so failures are retried.
# `hark test` runs the same programs in virtual time, and only once.
TIMED = re.compile(r"\b(sleep|await_for)\b|#\[ ?(timeout|retry|rate)\b")
TRIES_MAX = 3
# Matches programs whose calls wait for those of other sessions in the same storage: their runs follow each other.
LIMITED = re.compile(r"#\[ ?(limit|rate)\(")

CALL_VERBS = "=>|prints-any-order|prints-from|prints|breaks-kind|breaks|errors|traces|warns|silent"
CALL = re.compile(rf"^//! ([a-z_][\w?.]*)\((.*?)\) ({CALL_VERBS}) (.*)$")
REJECTED = re.compile(r"^//! (rejected|rejected-at|rejected-times) (.*)$")
STRAIGHT = "//! only straight"
IN_MEMORY = "//! only in memory"


@dataclass
class Run:
    """A call of a program, and its expectations."""

    path: Path
    function: str
    arguments: tuple
    expected: list = field(default_factory=list)

    def name(self):
        return f"{self.path.name}: {self.function}({', '.join(map(json.dumps, self.arguments))})"


def runs_of(path, left_out):
    """The runs requested by a program's `//!` lines; none if one of the `left_out` lines is among them."""
    calls, rejected = {}, Run(path, "main", ())
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line in (STRAIGHT, IN_MEMORY):
            if line in left_out:
                return []
        elif match := CALL.match(line):
            key = match[1], tuple(json.loads(f"[{match[2]}]"))
            calls.setdefault(key, Run(path, *key)).expected.append((match[3], match[4]))
        elif match := REJECTED.match(line):
            rejected.expected.append((match[1], match[2]))
        elif line.startswith("//!"):
            raise SystemExit(f"{path}:{number}: unreadable: {line}")
    return [*calls.values(), *([rejected] if rejected.expected else [])]


def execute(hark, run, options, environment, folder_in=None):
    """The exit status of a run and its JSON report."""
    command = [hark, "run", run.path.name, "-f", run.function, "--json", *options, "--", *run.arguments]
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY) if folder_in else nullcontext() as folder:
            if folder_in:
                environment = {**environment, folder_in: folder}
            done = subprocess.run(command, cwd=run.path.parent, env=environment, capture_output=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None, {"status": f"no answer in {SECONDS_MAX} s"}
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        shown = {name: text[:500].decode(errors="replace") for name, text in (("stdout", done.stdout), ("stderr", done.stderr))}
        return done.returncode, {"status": "no JSON", **shown}


def same(wanted, got):
    """Strict equality: distinguishes 4 from 4.0, true from 1 and -0.0 from 0.0, respects the order of keys, and regards nan as equal to itself."""
    if type(wanted) is not type(got):
        return False
    if isinstance(wanted, list):
        return len(wanted) == len(got) and all(map(same, wanted, got))
    if isinstance(wanted, dict):
        return list(wanted) == list(got) and all(same(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, float):
        return math.isnan(wanted) and math.isnan(got) or (wanted == got and math.copysign(1, wanted) == math.copysign(1, got))
    return wanted == got


def values_in(text):
    """The JSON values that follow each other in a text."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        values.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return values


def holds(verb, text, code, report):
    """Whether one expectation is met."""
    broken = report.get("status") == "broken" and code == 1
    rejected = report.get("status") == "rejected" and code == 2
    errors = report.get("errors") or []
    mistakes = [each for each in report.get("diagnostics") or [] if each.get("severity", "error") == "error"]
    output = report.get("output") or []
    match verb:
        case "=>":
            return report.get("status") == "finished" and code == 0 and same(json.loads(text), report.get("result"))
        case "prints":
            return "".join(item["text"] for item in output) == json.loads(text)
        case "prints-any-order":
            lines = "".join(item["text"] for item in output).splitlines(keepends=True)
            return sorted(lines) == sorted(values_in(text))
        case "prints-from":
            return [[item["thread"], item["text"]] for item in output] == json.loads(text)
        case "breaks":
            return broken and any(all(part in error["message"] for part in values_in(text)) for error in errors)
        case "breaks-kind":
            return broken and any(error["kind"] == json.loads(text) for error in errors)
        case "errors":
            return broken and len(errors) == int(text)
        case "traces":
            traces = [[[frame["thread"], frame["function"]] for frame in error["trace"]] for error in errors]
            return broken and json.loads(text) in traces
        case "warns":
            warnings = [each["message"] for each in report.get("diagnostics") or [] if each.get("severity") == "warning"]
            return any(all(part in message for part in values_in(text)) for message in warnings)
        case "silent":
            return not report.get("diagnostics")
        case "rejected":
            return rejected and any(all(part in each["message"] for part in values_in(text)) for each in mistakes)
        case "rejected-at":
            line, _, column = text.partition(":")
            places = [(each["line"], each["column"]) for each in mistakes]
            return rejected and any(place[0] == int(line) and column in ("", str(place[1])) for place in places)
        case "rejected-times":
            return rejected and len(mistakes) == int(text)


def failures_of(hark, run, options, environment, folder_in=None):
    """The expectations that a run does not meet, as text."""
    for left in reversed(range(TRIES_MAX if TIMED.search(run.path.read_text()) else 1)):
        code, report = execute(hark, run, options, environment, folder_in)
        shown = f"    got exit {code}: {json.dumps(report, ensure_ascii=False)[:600]}"
        failures = [f"{run.name()} {verb} {text}\n{shown}" for verb, text in run.expected if not holds(verb, text, code, report)]
        if not failures:
            break
        if left:
            print(f"tried again: {failures[0]}", file=sys.stderr, flush=True)
    return failures


def programs_in(places):
    """All programs among these files and folders."""
    for place in places:
        yield from sorted(place.rglob("*.hk")) if place.is_dir() else [place]


def copied(place, folder):
    """A copy of a program, or of a folder of programs, in another folder."""
    programs = place if place.is_dir() else place.parent
    copy = folder / programs.resolve().name
    shutil.copytree(programs, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".hark"))
    return copy if place.is_dir() else copy / place.name


class Mode:
    """All runs with certain options of hark."""

    def __init__(self, text, places, folder, folder_in, without):
        self.name, self.options, self.failed = f"{text}: " if text else "", shlex.split(text), 0
        folder.mkdir()
        lasting, self.folder_in = bool({"sqlite", "dynamodb"} & set(self.options)), folder_in
        left_out = [STRAIGHT] * ("--suspend-at" in self.options) + [IN_MEMORY] * (lasting or bool(folder_in))
        # The stored sessions go into the programs' folder, so use a temporary copy of it.
        places = [copied(place, folder / "programs") for place in places] if lasting else places
        runs = [run for path in programs_in(places) for run in runs_of(path, left_out)]
        self.runs = [run for run in runs if f"{run.path.name}:{run.function}" not in without]
        self.total = sum(len(run.expected) for run in self.runs)
        # Some Python functions create marker files; they are deleted with the folder.
        self.environment = {**os.environ, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        paths = {run.path for run in self.runs} if lasting else ()
        self.alone = {path: Lock() for path in paths if LIMITED.search(path.read_text())}

    def failures_of(self, hark, run):
        with self.alone.get(run.path, nullcontext()):
            return failures_of(hark, run, self.options, self.environment, self.folder_in)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path, help="the binary")
    parser.add_argument("places", type=Path, nargs="*", default=[PROGRAMS], help="programs, or folders of them")
    parser.add_argument("--args", action="append", help="more options for hark, as one text")
    parser.add_argument("--folder-in", metavar="VARIABLE", help="the environment variable that names where sessions are kept")
    parser.add_argument("--without", metavar="FILE:FUNCTION", action="append", default=[], help="not to be called")
    parser.add_argument("--jobs", type=int, default=4, help="how many runs at a time")
    asked = parser.parse_args()
    hark = str(asked.hark.resolve())
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(asked.jobs) as pool:
        modes = [
            Mode(text, asked.places, Path(temporary, str(number)), asked.folder_in, asked.without)
            for number, text in enumerate(asked.args or [""])
        ]
        # A run of each mode in turn.
        each = [(mode, run) for runs in zip_longest(*(mode.runs for mode in modes)) for mode, run in zip(modes, runs) if run]
        for (mode, run), failures in zip(each, pool.map(lambda pair: pair[0].failures_of(hark, pair[1]), each)):
            mode.failed += len(failures)
            for failure in failures:
                print(f"{mode.name}{failure}", flush=True)
    for mode in modes:
        print(f"{mode.name}{mode.total - mode.failed} passed, {mode.failed} failed")
    raise SystemExit(0 if all(mode.total and not mode.failed for mode in modes) else 1)


if __name__ == "__main__":
    main()
