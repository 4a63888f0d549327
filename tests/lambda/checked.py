#!/usr/bin/env python3
"""Checks the list of tests for each property of the template (checked.txt): omits each property in turn, and expects its test to fail.

    checked.py HARK --venv FOLDER [--only TEXT]

A line of checked.txt has a property, the kind of check, and the test: `deploy` and `story` with ministack, one of check.py or triggers.py in
the stand-in for Lambda (the dispatcher). If no test is named, only the form of the property is checked (cfn-lint). Takes about ten minutes.
"""
import argparse
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CHECKED = FOLDER / "checked.txt"
# The kinds of tests that check a property, and their files.
WAYS = {"ministack": {"deploy", "story"}, "dispatcher": {"check", "triggers"}, "form": {""}}


def listed():
    """The properties, each with its kind of check and its test."""
    found = {}
    for line in CHECKED.read_text().splitlines():
        name, way, test = (line.split() + [""])[:3]
        if test.partition(":")[0] not in WAYS.get(way, ()):
            raise SystemExit(f"{CHECKED.name}: not understood: {line}")
        found[name] = way, test
    return found


def command(test, hark, venv):
    file, _, name = test.partition(":")
    more = ["--only", name] if name else ["--venv", venv] if file == "story" else []
    return [sys.executable, FOLDER / f"{file}.py", hark, *more]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--only", default="", help="a part of the property's name")
    given = parser.parse_args()
    properties = {name: test for name, (_, test) in listed().items() if test and given.only in name}
    for test in sorted(set(properties.values())):
        subprocess.run(command(test, given.hark, given.venv), check=True, stdout=subprocess.DEVNULL)
    unnoticed = []
    for name, test in properties.items():
        try:
            done = subprocess.run(command(test, given.hark, given.venv), env={**os.environ, "HARK_TEST_WITHOUT": name},
                                  capture_output=True, text=True, timeout=180)
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            failed, said = True, ["it does not end"]
        print(f"{'ok ' if failed else 'NOT NOTICED'} {name} ({test}): {' '.join(said)[:200]}", flush=True)
        unnoticed += [name] * (not failed)
    raise SystemExit(1 if unnoticed else 0)


if __name__ == "__main__":
    main()
