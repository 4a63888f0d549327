#!/usr/bin/env python3
"""Measures the cost of passing a data frame of 100 MB through five Python functions, against plain Python that pickles it
once.

    objects.py [--hark PATH] [--python PATH] [--runs N]

The interpreter needs pandas; without it nothing is measured. The times are medians of the times that both print, from before
the frame is created until the last function has returned it. So they include neither the start of Python nor the import of
pandas.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROGRAMS = FOLDER / "programs/objects"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", FOLDER.parent / "target")).resolve()


def seconds(command, project):
    done = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("%s ended with %d:\n%s" % (" ".join(map(str, command)), done.returncode, done.stderr))
    return float(done.stdout.split()[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hark", type=Path, default=TARGET / "release/hark")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    hark, python = options.hark.absolute(), options.python.absolute()
    if subprocess.run([python, "-c", "import pandas"], stderr=subprocess.DEVNULL).returncode != 0:
        print("skipped: `%s` has no pandas" % python)
        return
    with tempfile.TemporaryDirectory(prefix="objects-", dir=TARGET) as folder:
        project = Path(folder) / "project"
        shutil.copytree(PROGRAMS, project)
        (project / "hark.toml").write_text('[project]\npython = "%s"\n' % python)
        rows = {
            "plain Python, pickled in memory": [python, "pass.py"],
            "hark": [hark, "-q", "pass.hk"],
            "plain Python, pickled to the disk": [python, "pass.py", "frame.pickle"],
            "hark -s sqlite": [hark, "run", "-s", "sqlite", "-q", "pass.hk"],
        }
        times = {name: [] for name in rows}
        for _ in range(options.runs):
            for name, command in rows.items():
                times[name].append(seconds(command, project))
        plain = None
        for name, found in times.items():
            median = statistics.median(found)
            if name.startswith("plain"):
                plain = median
            print("%-36s %8.0f ms %6.2f x" % (name, median * 1e3, median / plain))


if __name__ == "__main__":
    main()
