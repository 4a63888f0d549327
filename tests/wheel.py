#!/usr/bin/env python3
"""Builds Hark's wheel for this computer, and runs a program with Python functions from a fresh virtual environment that
contains only the wheel: tests/wheel.py MATURIN [--profile ci]

It builds the same wheel as `pip install .`, with a different profile, and with the feature of the engine that the tests of the
workspace need. So Cargo uses what it has compiled for the tests, and only links the program anew.
"""
import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import(measure, src.measures, 1);

fn main(text) { map_async(split(text), measure) }
"""

MEASURES = """
import hark

def measure(word):
    return [word, len(word), hark.attempt()]
"""

TEST = """
import hark
import hark.testing

with hark.testing.call():
    assert hark.attempt() == 1
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maturin", type=Path)
    parser.add_argument("--profile", default="ci", help="of Cargo; `pip install .` builds with `release`")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run(given.maturin.absolute(), "build", "--profile", given.profile, "--features", "hark-engine/simulator",
            "--out", folder / "wheels", cwd=ROOT)
        [wheel] = (folder / "wheels").iterdir()
        has_sbom = any(name.endswith(".cyclonedx.json") for name in zipfile.ZipFile(wheel).namelist())
        assert has_sbom, "the wheel does not say what it is made of"

        run(sys.executable, "-m", "venv", folder / "venv")
        binaries = folder / "venv" / "bin"
        run(binaries / "python", "-m", "pip", "install", "--quiet", "--no-index", wheel)
        project = folder / "project"
        (project / "src").mkdir(parents=True)
        (project / "service.hk").write_text(PROGRAM)
        (project / "src/measures.py").write_text(MEASURES)
        environment = {"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        printed = run("hark", "run", "-q", "service.hk", "fresh as paint", cwd=project, env=environment)
        assert printed == '[["fresh", 5, 1], ["as", 2, 1], ["paint", 5, 1]]\n', printed
        run(binaries / "python", "-c", TEST, cwd=project, env=environment)
        assert "dynamodb" in run("hark", "help", "run", env=environment), "the wheel was built without DynamoDB"
        said, name = run("hark", "version", env=environment).strip(), wheel.name.split("-")[1]
        assert said.split()[-1].replace("-dev", ".dev0") == name, f"`hark version` says {said!r}, and the wheel {name}"
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, runs")


if __name__ == "__main__":
    main()
