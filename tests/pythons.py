#!/usr/bin/env python3
"""Tests Hark's Python side with each installed release of Python: tests/pythons.py HARK [--venv FOLDER]

Each runs a program whose functions use features that differ between releases (event loops, start methods, loaders), and the
tests of the module `hark` outside of Hark. With --venv, a virtual environment to install into, the module is also installed
there and checked by mypy. A message says what cannot be tested on this machine.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASES = ["3.%d" % minor for minor in range(8, 15)]

PROGRAM = """
import(answer, src.functions, 1);
import(spawned, src.functions, 0);
import(loop, src.functions, 0);
import(later, src.functions, 1);
import(kept, src.functions, 0);
import(size, src.functions, 1);
import(unfit, src.functions, 0);

fn main() {
  print(size(kept()));
  same = loop() == loop();
  print([answer(20), spawned(), same, later(1), later(2)]);
  print("refused");
  unfit()
}
"""

FUNCTIONS = """
import asyncio
import datetime
import email.utils
import json
import logging
import multiprocessing

import hark

limit = None

async def answer(x):
    assert hark.attempt() == 1
    await asyncio.sleep(0)
    return 2 * x + 2

def square(x):
    return x * x

def spawned():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(square, [1, 2, 3])

def loop():
    return id(asyncio.get_event_loop())

async def later(x):
    global limit
    limit = limit or asyncio.Semaphore(1)
    asyncio.ensure_future(asyncio.sleep(600))
    async with limit:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001))
    return x

def kept():
    return {"day": datetime.date(2026, 11, 27), "bytes": b"abc"}

def size(things):
    return [things["day"].year, len(things["bytes"])]

def unfit():
    return {"a": [1, square, lambda: 2]}
"""

EXPECTED = "[2026, 3]\n[42, [1, 4, 9], true, 1, 2]\nrefused\n"
REFUSED = 'returned a value that Hark does not support: key "a" of the dict, item 2 of the list is a function, which cannot be pickled'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hark", type=pathlib.Path)
    parser.add_argument("--venv", type=pathlib.Path)
    options = parser.parse_args()
    hark = options.hark.resolve()
    check_version()
    tried = 0
    for release in RELEASES:
        python = interpreter(release)
        if python is None:
            print("skipped: Python %s is not installed" % release)
            continue
        check_program(hark, python)
        run([python, "-m", "unittest", "discover", "-s", ROOT / "python/tests"], PYTHONPATH=str(ROOT / "python"))
        print("Python %s: ok (%s)" % (release, python))
        tried += 1
    if not tried:
        sys.exit("no release of Python could be tried")
    if options.venv:
        check_package(options.venv / "bin/python")


def interpreter(release):
    """The interpreter itself, not a wrapper on PATH."""
    command = ["python" + release, "-c", "import sys; print(sys.executable)"]
    folders = sorted(pathlib.Path.home().glob(".pyenv/versions/%s.*/bin" % release))
    for tool in [command, *([str(folder / command[0]), *command[1:]] for folder in folders)]:
        try:
            return subprocess.run(tool, check=True, capture_output=True, text=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            continue
    return None


def check_program(hark, python):
    with tempfile.TemporaryDirectory() as folder:
        project = pathlib.Path(folder)
        (project / "src").mkdir()
        (project / "main.hk").write_text(PROGRAM)
        (project / "hark.toml").write_text('[project]\npython = "%s"\n[python]\nworkers = 1\n' % python)
        (project / "src/functions.py").write_text(FUNCTIONS)
        for name in ("token", "logging", "email", "types"):
            (project / "src" / (name + ".py")).write_text("raise ImportError('the project has it too')\n")
        command = [hark, "-q", project / "main.hk"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.stdout != EXPECTED or REFUSED not in done.stderr:
            sys.exit("%s: the program printed\n%s%s" % (python, done.stdout, done.stderr))


def check_version():
    ours = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    package = re.search(r'^version = "(.*)"', (ROOT / "python/pyproject.toml").read_text(), re.M)[1]
    if package != ours.replace("-dev", ".dev0"):
        sys.exit("python/pyproject.toml has version %s, Cargo.toml %s" % (package, ours))


def check_package(python):
    """Installs the package, and checks it and a user of it."""
    with tempfile.TemporaryDirectory() as folder:
        # A copy, because setuptools creates files in it.
        shutil.copytree(ROOT / "python", pathlib.Path(folder) / "python")
        run([python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", "./python"], folder)
        user = pathlib.Path(folder) / "test_user.py"
        user.write_text((ROOT / "python/tests/test_hark.py").read_text())
        run([python, "-m", "unittest", "test_user"], folder)
        if subprocess.run([python, "-c", "import mypy"], stderr=subprocess.DEVNULL).returncode:
            print("skipped: mypy is not installed in %s" % python.parent.parent)
            return
        # The installed package counts as typed, and its source has no type errors.
        run([python, "-m", "mypy", "--strict", "--cache-dir", folder, user], folder)
        run([python, "-m", "mypy", "--strict", "--cache-dir", folder, ROOT / "python/hark"], folder)
    print("the package: ok")


def run(command, folder=None, **environment):
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s\n%s%s" % (" ".join(map(str, command)), done.stdout, done.stderr))


if __name__ == "__main__":
    main()
