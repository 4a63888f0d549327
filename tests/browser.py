#!/usr/bin/env python3
"""Opens pages of `hark timeline -o` in Chromium: `browser.py target/ci/hark`. Screenshots stay in `target/browser`.

What it needs is installed where it is missing: Chromium by apt, as root, and two npm packages, of the versions in
`browser/package-lock.json`, below `target/browser`. `--prepare` does only that. Where it cannot be installed, this says so,
and that nothing was tested."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent / "browser"
TARGET = HERE.parent.parent / "target/browser"
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
NODE_MIN = 18
# The threads of few.hk that wait for ever.
OPEN_AT_LAST = {0, 3, 4}


class Missing(Exception):
    """Something is not there and cannot be installed."""


def command(*words, **options):
    return subprocess.run(words, check=True, **options)


def install(package):
    """Installs one of Debian's packages."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Missing(f"there is no {package}, which only root can install, with apt")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    words = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    for update in [False, True]:
        if update:
            subprocess.run(["apt-get", "update", "--quiet"], env=environment, capture_output=True)
        if subprocess.run(words, env=environment, capture_output=True).returncode == 0:
            return
    raise Missing(f"there is no {package}, and apt cannot install it")


def browser():
    for again in [False, True]:
        for name in BROWSERS:
            if found := shutil.which(name):
                return found
        if not again:
            install("chromium")
    raise Missing("there is no Chromium")


def node():
    """Node.js, with the packages of the lock file."""
    for name in ["node", "npm"]:
        if not shutil.which(name):
            install("nodejs" if name == "node" else "npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < NODE_MIN:
        raise Missing(f"Node.js is {version} here, and {NODE_MIN} is needed")
    TARGET.mkdir(parents=True, exist_ok=True)
    lock = HERE / "package-lock.json"
    stamp = TARGET / "node_modules/.installed"
    if not (stamp.is_file() and stamp.read_bytes() == lock.read_bytes()):
        for file in [lock, HERE / "package.json"]:
            shutil.copy(file, TARGET)
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(TARGET / "npm-cache")]
        done = subprocess.run(words, cwd=TARGET, capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(f"npm cannot install {lock.name}: {done.stderr.strip().splitlines()[-1:]}")
        stamp.write_bytes(lock.read_bytes())


def pages(hark):
    """Runs the sessions, and writes the page of each."""
    folder = TARGET / "sessions"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "src", folder / "src")
    for file in HERE.glob("*.hk"):
        shutil.copy(file, folder)
    run = [hark, "run", "-q", "-s", "sqlite", "--key"]
    few = subprocess.Popen([*run, "few", "few.hk", "1001"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: has_come_to_rest(hark, folder, few))
    finally:
        few.send_signal(signal.SIGINT)
        few.wait()
    command(*run, "many", "many.hk", cwd=folder, stdout=subprocess.DEVNULL)
    lose(hark, run, folder)
    for key in ["few", "many"]:
        command(hark, "timeline", key, "-o", f"{key}.html", cwd=folder)
    return folder


def lose(hark, run, folder):
    """Writes the page of a session whose process was killed while it computed, while another one goes on with it."""
    text = 'fn count(n) { if n == 0 { 0 } else { count(n - 1) } }\nfn main() { print("counts"); count(100000000000) }\n'
    (folder / "lost.hk").write_text(text)

    def has_happened(event):
        return event in subprocess.run([hark, "events", "lost"], cwd=folder, capture_output=True, text=True).stdout

    for words, event in [([*run, "lost", "lost.hk"], "counts"), ([hark, "resume", "-q", "lost"], "taken over")]:
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: has_happened(event))
            command(hark, "timeline", "lost", "-o", "lost.html", cwd=folder)
        finally:
            process.kill()
            process.wait()


def has_come_to_rest(hark, folder, process):
    assert process.poll() is None, "few.hk ended, with threads that wait for ever"
    listed = subprocess.run([hark, "timeline", "few", "--json"], cwd=folder, capture_output=True, text=True)
    lanes = json.loads(listed.stdout) if listed.returncode == 0 else []
    waiting = {lane["thread"] for lane in lanes if lane["end"] == "open" and lane["stretches"][-1]["kind"] == "wait"}
    return len(lanes) == 10 and {lane["thread"] for lane in lanes if lane["end"] == "open"} == OPEN_AT_LAST == waiting


def wait_until(holds, patience=120):
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < patience, "it never came"
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hark", nargs="?", type=Path)
    parser.add_argument("--prepare", action="store_true", help="only install what is needed")
    options = parser.parse_args()
    try:
        chromium = browser()
        node()
    except Missing as missing:
        print(f"SKIPPED: timelines were not opened in a browser: {missing}")
        return
    if options.prepare:
        return
    folder = pages(str(options.hark.resolve()))
    shutil.copy(HERE / "check.mjs", TARGET)
    sys.exit(subprocess.run(["node", "check.mjs", chromium, str(folder)], cwd=TARGET).returncode)


if __name__ == "__main__":
    main()
