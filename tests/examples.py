#!/usr/bin/env python3
"""Runs the examples with a `hark` binary and checks their output.

    examples.py HARK [--python PYTHON]

PYTHON is the interpreter of a virtual environment with the examples' requirements (Pillow, pandas); without it, `fractals` and
`sales` use the Python that Hark finds, and are skipped with a message if it lacks the packages. Failures are printed, then
`N passed, N failed`; the exit status is 0 if nothing failed.
"""
import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
FRACTALS = ["mandelbrot", "julia", "burning_ship", "fern", "sierpinski"]


class Examples:
    """The binary, the environment of its runs, and the numbers of passed and failed checks."""

    def __init__(self, hark, python):
        self.hark, self.python = hark, python or "python3"
        self.passed = self.failed = 0
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        if python:
            # Not `resolve`: the environment's interpreter is a link to the one it was created with.
            self.environment["VIRTUAL_ENV"] = str(Path(python).absolute().parent.parent)

    def run(self, *arguments, folder=ROOT):
        command = [self.hark, *map(str, arguments)]
        return subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, timeout=600)

    def check(self, what, holds, done):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"{what}\n    exit {done.returncode}\n    {done.stdout[-1000:]!r}\n    {done.stderr[-1000:]!r}")


def block_after(text, command):
    """The text below `$ command` in a README."""
    lines = text.split(f"    $ {command}\n", 1)[1].splitlines()
    end = next((at for at, line in enumerate(lines) if line and not line.startswith("    ")), len(lines))
    return "\n".join(line[4:] for line in lines[:end]).strip("\n")


def seed(examples):
    folder, readme = EXAMPLES / "seed", (EXAMPLES / "seed/README.md").read_text()
    done = examples.run("service.hk", "-q", folder=folder)
    examples.check("seed: the result", done.returncode == 0 and done.stdout.strip() == block_after(readme, "hark service.hk"), done)
    done = examples.run("asm", "service.hk", folder=folder)
    examples.check("seed: the listing", done.returncode == 0 and done.stdout.strip("\n") == block_after(readme, "hark asm service.hk"), done)


def primes(examples):
    readme = (EXAMPLES / "primes/README.md").read_text()
    command = "examples/primes/service.hk 100000"
    done = examples.run(*command.split(), "-q")
    examples.check("primes: 100000", done.returncode == 0 and done.stdout.strip() == block_after(readme, f"hark {command}"), done)
    for limit, count in (("2", 0), ("3", 1), ("10000", 1229), ("10001", 1229)):
        done = examples.run("examples/primes/service.hk", limit, "-q")
        examples.check(f"primes: {limit}", done.stdout.startswith(f"{count} primes below {limit},"), done)


def wordcount(examples):
    docs = ROOT / "docs"
    files = [path for path in docs.rglob("*") if path.suffix in (".md", ".rst", ".txt")]
    done = examples.run("examples/wordcount/service.hk", "docs", "-q")
    lines = done.stdout.splitlines()
    examples.check("wordcount: docs", done.returncode == 0 and lines[0] == f"counting words in {len(files)} files", done)
    counts = [int(match[1]) for line in lines if (match := re.match(r"[a-z]+ +(\d+)  █+$", line))]
    examples.check("wordcount: a table", len(counts) == 15 and counts == sorted(counts, reverse=True), done)
    examples.check("wordcount: what these pages speak of", any(line.startswith("hark ") for line in lines), done)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "one.txt").write_text("Apple pear apple.\n")
        Path(folder, "two.md").write_text("# Apple\nplum, pear; the\n")
        done = examples.run("examples/wordcount/service.hk", folder, "-q")
        expected = ["counting words in 2 files", "apple 3", "pear 2", "plum 1", "3 different words, 6 in all"]
        examples.check("wordcount: known files", [" ".join(line.replace("█", "").split()) for line in done.stdout.splitlines()] == expected, done)
    done = examples.run("examples/wordcount/service.hk", "nowhere", "-q")
    examples.check("wordcount: no such folder", done.returncode == 1 and "no text files in nowhere" in done.stderr, done)


def lacks(examples, example, module):
    """Whether an example must be skipped because a module is missing."""
    is_there = subprocess.run([examples.python, "-c", f"import {module}"], capture_output=True).returncode == 0
    if not is_there:
        print(f"{example}: skipped, because {module} is missing (pass --python)", file=sys.stderr)
    return not is_there


def fractals(examples):
    if lacks(examples, "fractals", "PIL"):
        return
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "new", "pictures")
        done = examples.run("examples/fractals/service.hk", pictures, "-q")
        examples.check("fractals: the result", done.returncode == 0 and done.stdout.splitlines()[-1] == f"5 pictures in {pictures}", done)
        said = sorted(done.stdout.splitlines()[:-1])
        examples.check("fractals: what is said", said == sorted(f"drawn: {pictures}/{name}.png" for name in FRACTALS), done)
        written = {path.stem: path.read_bytes()[:4] for path in pictures.glob("*")}
        examples.check("fractals: the pictures", written == {name: b"\x89PNG" for name in FRACTALS}, done)


def sales(examples):
    if lacks(examples, "sales", "pandas"):
        return
    data, sums = EXAMPLES / "sales/data", {}
    for file in data.glob("*.csv"):
        with file.open() as lines:
            for row in csv.DictReader(lines):
                sums[row["region"]] = sums.get(row["region"], 0) + float(row["amount"] or 0)
    for where in ("memory", "sqlite"):
        with tempfile.TemporaryDirectory() as folder:
            done = examples.run("run", "-q", "-s", where, EXAMPLES / "sales/service.hk", data, "--data-dir", folder)
            said = done.stdout and json.loads(done.stdout)
            examples.check(f"sales, in {where}", said == {region: round(total, 2) for region, total in sums.items()}, done)


def tested(examples):
    """The examples with test cases, in which stubs replace the outside world."""
    for name, cases in (("approval", 6), ("saga", 4), ("poller", 4), ("sales", 3)):
        done = examples.run("test", "-q", "--timeout", "300", folder=EXAMPLES / name)
        examples.check(f"{name}: hark test", done.returncode == 0 and done.stdout == f"{cases} passed, 0 failed\n", done)
    with tempfile.TemporaryDirectory() as folder:
        service = EXAMPLES / "saga/service.hk"
        done = examples.run(service, "Oslo", "-q", folder=folder)
        said = [f"booked {kind} Oslo" for kind in ("flight to", "hotel in")]
        said += [f"cancelled {kind} Oslo" for kind in ("hotel in", "flight to")]
        examples.check("saga: Oslo", done.returncode == 1 and done.stdout.splitlines() == said and "no car in Oslo" in done.stderr, done)
        examples.check("saga: nothing is left", Path(folder, "bookings.json").read_text() == "{}", done)
        done = examples.run(EXAMPLES / "approval/service.hk", "7", "50", "-q", folder=folder)
        examples.check("approval: a small order", done.stdout.endswith("order 7: approved\n") and done.returncode == 0, done)
        Path(folder, "report.pdf").touch()
        done = examples.run(EXAMPLES / "poller/service.hk", "report.pdf", "-q", folder=folder)
        examples.check("poller: a report", done.stdout.endswith("the report is there, after 0.0 h\n"), done)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path, help="the binary")
    parser.add_argument("--python", help="the interpreter of an environment with Pillow and pandas")
    asked = parser.parse_args()
    examples = Examples(str(asked.hark.resolve()), asked.python)
    for example in (seed, primes, wordcount, fractals, sales, tested):
        example(examples)
    print(f"{examples.passed} passed, {examples.failed} failed")
    raise SystemExit(1 if examples.failed else 0)


if __name__ == "__main__":
    main()
