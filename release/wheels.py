#!/usr/bin/env python3
"""Builds the wheels of a release, for all platforms, with their checksums: release/wheels.py [--out dist] [PLATFORM...]

Needs `maturin`, `ziglang`, `cargo-zigbuild` and `auditwheel` of PyPI in the environment that runs this, and Rust with the standard library of
each platform (`rustup target add`). Zig links against an old enough C library, whatever this computer has, which `auditwheel` confirms. A wheel whose
processor is another one is run under QEMU (Debian's `qemu-user-static` and `libc6-arm64-cross`), if that is there. The checksums are those
of all wheels in the folder.
"""
import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Where a wheel can be installed, and for what it is compiled.
PLATFORMS = {
    "manylinux2014-x86_64": ("x86_64-unknown-linux-gnu", "manylinux2014"),
    "manylinux2014-aarch64": ("aarch64-unknown-linux-gnu", "manylinux2014"),
    "musllinux_1_2-x86_64": ("x86_64-unknown-linux-musl", "musllinux_1_2"),
    "musllinux_1_2-aarch64": ("aarch64-unknown-linux-musl", "musllinux_1_2"),
}

PROGRAM = 'fn main() { map_async([1, 2, 3], lambda (x) { x * x }) }\n'


def build(target, compatibility, profile, out):
    """Builds one wheel; answers its file."""
    with tempfile.TemporaryDirectory(dir=out) as folder:
        command = [sys.executable, "-m", "maturin", "build", "--zig", "--profile", profile, "--target", target,
                   "--compatibility", compatibility, "--out", folder]
        subprocess.run(command, cwd=ROOT, check=True)
        [wheel] = Path(folder).iterdir()
        return Path(shutil.move(wheel, out / wheel.name))


def audit(wheel, compatibility):
    """Checks that the wheel is what its name says, and says what it is made of."""
    shown = subprocess.run([sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True).stdout
    tag = {"manylinux2014": "manylinux_2_17_"}.get(compatibility, f"{compatibility}_")
    if f'"{tag}' not in " ".join(shown.split()):
        raise SystemExit(f"{wheel.name} does not suit {compatibility}: {shown}")
    with zipfile.ZipFile(wheel) as archive:
        if not any(name.endswith(".cyclonedx.json") for name in archive.namelist()):
            raise SystemExit(f"{wheel.name} has no SBOM")


def emulator(processor):
    """The command that runs a program for this processor here; None if nothing does."""
    if processor == platform.machine():
        return []
    qemu = shutil.which(f"qemu-{processor}-static")
    return [qemu, "-L", f"/usr/{processor}-linux-gnu"] if qemu else None


def try_out(wheel, processor):
    """Runs a program with the wheel's binary; says what came of it."""
    command = emulator(processor)
    if command is None:
        return f"not run: there is no QEMU for {processor} here"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with zipfile.ZipFile(wheel) as archive:
            [name] = [name for name in archive.namelist() if name.endswith("/scripts/hark")]
            binary = Path(archive.extract(name, folder))
        binary.chmod(0o755)
        (folder / "squares.hk").write_text(PROGRAM)
        done = subprocess.run([*command, binary, "squares.hk"], cwd=folder, capture_output=True, text=True)
        if done.stdout != "[1, 4, 9]\n":
            raise SystemExit(f"{wheel.name} does not run: {done.stdout}{done.stderr}")
        storages = subprocess.run([*command, binary, "help", "run"], capture_output=True, text=True).stdout
        if "dynamodb" not in storages:
            raise SystemExit(f"{wheel.name} cannot store sessions in DynamoDB")
        return "runs" if not command else "runs under QEMU"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder for the wheels (default: dist)")
    parser.add_argument("--profile", default="release", help="of Cargo")
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=f"one of {', '.join(PLATFORMS)} (default: all)")
    given = parser.parse_args()
    unknown = set(given.platforms) - set(PLATFORMS)
    if unknown:
        parser.error(f"unknown platform {min(unknown)}; there are {', '.join(PLATFORMS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.platforms or PLATFORMS:
        target, compatibility = PLATFORMS[name]
        wheel = build(target, compatibility, given.profile, given.out.resolve())
        audit(wheel, compatibility)
        outcome = try_out(wheel, target.partition("-")[0])
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {outcome}", flush=True)
    wheels = sorted(given.out.glob("*.whl"))
    (given.out / "SHA256SUMS").write_text("".join(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n" for wheel in wheels))


if __name__ == "__main__":
    main()
