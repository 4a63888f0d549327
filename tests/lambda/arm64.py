#!/usr/bin/env python3
"""Builds `hark` for ARM's processors, and runs it here under QEMU: alone, and as the program of AWS Lambda functions.

    arm64.py [--profile PROFILE] [--hark HARK] [--built PROGRAM]

It is cross-compiled with Zig (`cargo-zigbuild` and `ziglang` from PyPI, in target/release-venv) against an old C library. That takes
minutes, so `./check` does not run this. HARK, built for this computer, deploys the project of tests/lambda/package to the stand-in for AWS.
The emulator of the runtime starts the program in the package in a separate namespace, in which Linux runs ARM programs with QEMU;
this computer's settings do not change. Python is this computer's, and is called if QEMU allows that: version 7 does not. `--built`
takes a program that was built before, such as one from a wheel.

Needs Rust's standard library for the target (`rustup target add aarch64-unknown-linux-gnu`), and Debian's `qemu-user-static` and
`libc6-arm64-cross`.
"""
import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
sys.path.insert(0, str(FOLDER))
from instance import Instance, equal  # noqa: E402
from stand_in import emulator  # noqa: E402

TARGET = "aarch64-unknown-linux-gnu"
# The oldest C library that manylinux2014 allows. Amazon Linux 2023 has 2.34.
GLIBC = "2.17"
VENV = ROOT / "target/release-venv"
LIBRARIES = Path("/usr/aarch64-linux-gnu")
# How the kernel is told which programs QEMU runs.
RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
RULES = Path("/proc/sys/fs/binfmt_misc")
INSIDE = "HARK_INSIDE_NAMESPACE"

PROGRAM = """
fn square(x) { x * x }
fn main() { sum(map_async(range(100), square)) }
"""


def build(profile):
    """The program, which needs no newer C library than this."""
    if not (VENV / "bin/cargo-zigbuild").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin/python", "-m", "pip", "install", "--quiet", "ziglang", "cargo-zigbuild"], check=True)
    environment = {**os.environ, "PATH": f"{VENV}/bin:{os.environ['PATH']}"}
    subprocess.run(["cargo", "zigbuild", "-p", "hark-cli", "--profile", profile, "--target", f"{TARGET}.{GLIBC}"], cwd=ROOT,
                   env=environment, check=True)
    return ROOT / "target" / TARGET / profile / "hark"


def enter_namespace():
    """Runs this again where the kernel starts ARM's programs with QEMU."""
    if not RULE.exists() or not LIBRARIES.is_dir():
        raise SystemExit("SKIPPED: QEMU or the C library is missing: apt-get install qemu-user-static libc6-arm64-cross")
    os.environ |= {INSIDE: "1", "QEMU_LD_PREFIX": str(LIBRARIES)}
    os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--mount", sys.executable, *sys.argv])


def register():
    subprocess.run(["mount", "-t", "binfmt_misc", "none", RULES], check=True)
    (RULES / "register").write_text(RULE.read_text())
    emulator.STARTED.add("arm64")
    emulator.NEEDED["QEMU_LD_PREFIX"] = str(LIBRARIES)


def run(*command, folder):
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def can_call_python(built, folder):
    """Whether the program can call Python. QEMU may refuse what its guard of Python's processes asks of the kernel: version 7 knows no subreapers."""
    Path(folder, "names.hk").write_text("import(machine, platform, 0);\nfn main() { machine() }\n")
    done = subprocess.run([built, "run", "-q", "names.hk"], cwd=folder, capture_output=True, text=True)
    if "Invalid argument (os error 22)" in done.stderr:
        print("SKIPPED: calls of Python, because this QEMU knows no subreapers")
        return False
    equal((done.stdout, done.stderr), (f"{platform.machine()}\n", ""))
    return True


def check_alone(built):
    """The program prints its version, runs a program in memory and in a file, and calls Python: whether that is possible."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "squares.hk").write_text(PROGRAM)
        print(run(built, "version", folder=folder), end="")
        equal(run(built, "run", "-q", "squares.hk", folder=folder), "328350\n")
        equal(run(built, "run", "-q", "-s", "sqlite", "squares.hk", folder=folder), "328350\n")
        equal(len(run(built, "sessions", "-q", folder=folder).split()), 1)
        return can_call_python(built, folder)


def check_functions(hark, built, with_python):
    """Functions for ARM start the program in their package, which runs threads and Python functions."""
    settings = f'architecture = "arm64"\nhark_binary = "{built}"\n'
    with Instance(hark, settings, recover=0, packed=True) as instance:
        [kinds] = {tuple(version.properties["Architectures"]) for version in instance.service.functions.versions.values()}
        equal(kinds, ("arm64",))
        equal(instance.invoke(function="inc", args=[1])["result"], 2)
        if with_python:
            equal(instance.invoke(function="main", args=[3])["result"], [6, 4, 2])
        equal(instance.report(instance.begin("chain", 20))["result"], 20)
        package = instance.service.folder / "project/.hark/deploy/package.zip"
        print(f"the package has {package.stat().st_size / 1e6:.2f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="release", help="of Cargo, for the program that is built")
    parser.add_argument("--hark", type=Path, default=ROOT / "target/ci/hark", help="this computer's program")
    parser.add_argument("--built", type=Path, help="a program for ARM")
    given = parser.parse_args()
    if INSIDE not in os.environ:
        if given.built is None:
            sys.argv += ["--built", str(build(given.profile))]
        enter_namespace()
    register()
    built = given.built.resolve()
    check_functions(given.hark.resolve(), built, check_alone(built))
    print("all is well under QEMU")


if __name__ == "__main__":
    main()
