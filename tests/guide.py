#!/usr/bin/env python3
"""Runs the examples of the guide: guide.py HARK.

Each ```hark block of docs/guide that has `//!` lines is a program as tests/programs/README.md describes; any other one
must compile.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import conformance

BLOCK = re.compile(r"^```hark\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def failures_of(hark, path):
    """How many things a block claims, and what of it does not hold."""
    runs = conformance.runs_of(path, False)
    if runs:
        failures = [failure for run in runs for failure in conformance.failures_of(hark, run, [], dict(os.environ))]
        return sum(len(run.expected) for run in runs), failures
    done = subprocess.run([hark, "check", path], capture_output=True, text=True, timeout=60)
    return 1, [f"{path.name} does not compile:\n{done.stdout}{done.stderr}"] if done.returncode else []


def main():
    hark = str(Path(sys.argv[1]).resolve())
    guide = Path(__file__).resolve().parent.parent / "docs" / "guide"
    total, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for page in sorted(guide.rglob("*.md")):
            for number, block in enumerate(BLOCK.findall(page.read_text()), 1):
                path = Path(folder) / f"{page.stem}_{number}.hk"
                path.write_text(block)
                count, failures = failures_of(hark, path)
                total += count
                failed += len(failures)
                for failure in failures:
                    print(failure)
    print(f"{total - failed} passed, {failed} failed")
    raise SystemExit(1 if failed or not total else 0)


if __name__ == "__main__":
    main()
