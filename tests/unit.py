#!/usr/bin/env python3
"""Builds and runs all tests of the workspace, three test programs at a time: unit.py [--profile ci]

`cargo test` runs one test program after another. Some of them compute, and others mostly wait for processes, leases and
timers, so each alone leaves cores idle. Those that compute take only what the others leave, so that nothing that waits for
a lease or a timer is late. Cargo lists the programs, so a new one is never left out. The output of a program is shown
when it has ended. The exit status is 0 if all have passed.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The programs that take longest begin first, those that wait beside those that compute.
LONGEST = ["simulator", "dynamodb", "cli", "pairs", "python", "machine"]

# What these do takes no longer than it computes.
COMPUTING = {"simulator", "pairs", "machine"}

AT_A_TIME = 3


def built(cargo):
    """The test programs: name, path and the folder of the package."""
    command = [*cargo, "--no-run", "--message-format", "json-render-diagnostics"]
    build = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if build.returncode:
        sys.exit(build.returncode)
    messages = map(json.loads, build.stdout.splitlines())
    tests = [each for each in messages if each.get("executable") and each["profile"]["test"]]
    assert tests, "Cargo has built no tests"
    return [(each["target"]["name"], each["executable"], Path(each["manifest_path"]).parent) for each in tests]


def run(test):
    """Runs a test program. Returns whether it has passed."""
    name, path, folder = test
    begun = time.monotonic()
    # As Cargo does.
    environment = {**os.environ, "CARGO_MANIFEST_DIR": str(folder)}
    command = ["nice", path] if name in COMPUTING else [path]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = done.stdout.decode(errors="replace")
    passed = done.returncode == 0
    told = "" if passed else f", exit status {done.returncode}"
    print(f"-- {name} of {folder.name} ({time.monotonic() - begun:.0f} s{told})\n{output.strip()}\n", flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="ci", help="of Cargo")
    cargo = ["cargo", "test", "--workspace", "--profile", parser.parse_args().profile]
    tests = built(cargo)
    tests.sort(key=lambda test: LONGEST.index(test[0]) if test[0] in LONGEST else len(LONGEST))
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        passed = list(pool.map(run, tests))
    documented = subprocess.run([*cargo, "--quiet", "--doc"], cwd=ROOT).returncode == 0
    if failed := [name for (name, _, folder), fine in zip(tests, passed) if not fine]:
        print(f"failed: {', '.join(failed)}")
    sys.exit(0 if documented and not failed else 1)


if __name__ == "__main__":
    main()
