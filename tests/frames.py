#!/usr/bin/env python3
"""Passes NumPy's values and pandas' data frames through a program, in memory and stored, through a crash and a move.

    frames.py HARK [--python PYTHON]

PYTHON is the interpreter of a virtual environment with NumPy and pandas; if the one that Hark finds lacks them, the test is
skipped with a message. The program is tests/frames/program.hk. Its result must be the expected one in each way of running it,
and afterwards no pickle may be left. Failures are printed; the exit status is 0 if nothing failed.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent / "frames"
SECONDS_MAX = 120

SCALARS = {"bool": True, "int8": -5, "uint64": 2**64 - 1, "float32": 0.5, "float64": 2.5, "nan": False, "sum": 45, "any": True, "str": "text"}
TYPES = ["boolean", "integer", "integer", "float", "float", "boolean", "integer", "boolean", "string"]
COLUMNS = ["number", "name", "sum"]


def described(columns, numbers):
    numbers = list(numbers)
    return ["DataFrame", columns, [len(numbers), len(columns)], sum(numbers), 7]


EXPECTED = {
    "numbers": [SCALARS, TYPES, {name: type(value).__name__ for name, value in SCALARS.items()}, "object", 256, True, True],
    "tables": {
        "described": [
            described(COLUMNS[:2], range(1000)),
            described(COLUMNS, range(1000)),
            described(COLUMNS[:2], range(1000)),
            described(COLUMNS, range(100, 1000)),
            described(COLUMNS, range(500, 1000)),
        ],
        "same": True,
        "differ": False,
    },
    "large": described(COLUMNS, range(100_000)),
}


class Wrong(Exception):
    """An expectation does not hold."""


class Project:
    """A copy of the program."""

    def __init__(self, hark, environment):
        self.hark, self.environment = hark, environment
        self.folder = Path(tempfile.mkdtemp(prefix="hark-frames-"))
        shutil.copytree(PROGRAM, self.folder, dirs_exist_ok=True)
        (self.folder / "hark.toml").touch()

    def run(self, *words, **how):
        command = [self.hark, *words]
        how = {"text": True, "capture_output": True, **how}
        done = subprocess.run(command, cwd=self.folder, env=self.environment, timeout=SECONDS_MAX, **how)
        if done.returncode != 0:
            raise Wrong(f"`{' '.join(words)}` ends with {done.returncode}: {done.stderr}")
        return done.stdout

    def begin(self):
        """Starts the program, and returns when it waits in a call with a large frame."""
        (self.folder / "gate").touch()
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [self.hark, "run", "-q", "-s", "sqlite", "program.hk"]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, **silent)
        started = time.monotonic()
        while not (self.folder / "begun").exists():
            if time.monotonic() - started > SECONDS_MAX or process.poll() is not None:
                raise Wrong("the call does not begin")
            time.sleep(0.01)
        return process

    def pickles(self):
        folder = self.folder / ".hark/pickles"
        return len(list(folder.iterdir())) if folder.exists() else 0

    def close(self):
        """Checks that a session that ended with a plain value left no pickles."""
        if self.pickles():
            raise Wrong(f"{self.pickles()} pickles are left")
        shutil.rmtree(self.folder)


def check(result):
    found = json.loads(result)
    if found != EXPECTED:
        raise Wrong(f"the result is {result}\n    and not {json.dumps(EXPECTED)}")


def straight(project):
    for way in ([], ["--suspend-at", "effects"], ["-s", "sqlite"], ["-s", "sqlite", "-c", "processes"]):
        check(project.run("run", "-q", *way, "program.hk"))


def killed(project):
    process = project.begin()
    process.kill()
    process.wait()
    if not project.pickles():
        raise Wrong("the frame of the call is not stored")
    (project.folder / "gate").unlink()
    check(project.run("resume", "-q"))


def moved(project):
    process = project.begin()
    process.kill()
    process.wait()
    session = project.run("sessions", "-q", "--limit", "1").strip()
    other = Project(project.hark, project.environment)
    with open(other.folder / "session", "wb") as file:
        project.run("export", session, text=False, capture_output=False, stdout=file)
    other.run("import", "session")
    check(other.run("resume", "-q"))
    other.close()
    # Its old storage keeps its pickles until it is pruned.
    project.run("prune", "--older-than", "0s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path, help="the binary")
    parser.add_argument("--python", help="the interpreter of an environment with NumPy and pandas")
    asked = parser.parse_args()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    if asked.python:
        environment["VIRTUAL_ENV"] = str(Path(asked.python).absolute().parent.parent)
    if subprocess.run([asked.python or "python3", "-c", "import numpy, pandas"], capture_output=True).returncode != 0:
        print("skipped, because NumPy or pandas is missing (pass --python)", file=sys.stderr)
        return
    failures = 0
    for way in (straight, killed, moved):
        project = Project(str(asked.hark.resolve()), environment)
        try:
            way(project)
            project.close()
        except Wrong as wrong:
            failures += 1
            print(f"{way.__name__}: {wrong}\n    the project is left in {project.folder}")
    print(f"{3 - failures} passed, {failures} failed")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
