#!/usr/bin/env python3
"""Checks which crate may use which: the arrows of ARCHITECTURE.md, against `cargo metadata`; and, within the engine, which of
the top-level modules may use which, against their imports."""
import json
import re
import subprocess
from pathlib import Path

MAY_USE = {
    "hark-bytecode": set(),
    "hark-compiler": {"hark-bytecode"},
    "hark-machine": {"hark-bytecode"},
    "hark-engine": {"hark-machine", "hark-bytecode"},
    "hark-backends": {"hark-engine", "hark-machine", "hark-bytecode"},
    "hark-foreign": {"hark-engine", "hark-machine", "hark-bytecode"},
    "hark-lambda": {"hark-bytecode"},
    "hark-cli": {"hark-bytecode", "hark-compiler", "hark-machine", "hark-engine", "hark-backends", "hark-foreign",
                 "hark-lambda"},
}
# Modules of the engine. Each may use those of the earlier groups.
ENGINE_FLOORS = [["server"], ["session"], ["turn", "serving"], ["sweeper"], ["engine"]]


def wrong_imports(source):
    """The imports of a module from its own or a later group."""
    above = []
    for floor in reversed(ENGINE_FLOORS):
        for module in floor:
            files = [source / f"{module}.rs", *source.glob(f"{module}/**/*.rs")]
            names = {name for file in files for name in re.findall(r"crate::(\w+)", file.read_text())}
            yield from (f"{module} of the engine may not use {name}" for name in sorted(names & {*above, *floor} - {module}))
        above += floor


def main():
    root = Path(__file__).resolve().parent.parent
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    packages = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)["packages"]
    wrong = []
    for package in packages:
        name = package["name"]
        if name not in MAY_USE:
            wrong.append(f"{name} is not among the crates of tests/arrows.py")
            continue
        # Dependencies of tests are not restricted.
        uses = {each["name"] for each in package["dependencies"] if each["kind"] is None and each["name"].startswith("hark-")}
        wrong += [f"{name} may not use {other}" for other in sorted(uses - MAY_USE[name])]
    wrong += wrong_imports(root / "crates/hark-engine/src")
    print("\n".join(wrong))
    print(f"{len(packages)} crates, {len(wrong)} wrong arrows")
    raise SystemExit(1 if wrong or not packages else 0)


if __name__ == "__main__":
    main()
