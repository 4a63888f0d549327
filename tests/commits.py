#!/usr/bin/env python3
"""Kills `hark` at each commit of a program in turn, resumes its session, and checks that the outcome is always the same.
Then kills `hark cancel` at each commit of a cancellation, and continues it: with a second `hark cancel`, or, if the session
has so many threads that cancelling them takes several commits, with the process that serves it.

    commits.py HARK [--at N] [--jobs N]

The program is tests/commits/program.hk, which uses as many features as possible. It is first run undisturbed, which gives the
number of commits and the expected outcome; then once per commit, at which its process is killed: after the log was synced,
and before the commit is acknowledged. Then the session is resumed. `--at N` tests one commit only. A failure is printed with
its commit, and its project is kept. The exit status is 0 if nothing failed.

tests/commits/keyed.hk is started under a key, and killed at each of its commits; then it is started again.
tests/commits/cancelled.hk is cancelled while it waits. Each of its threads must clean up exactly once. tests/commits/crowd.hk
has thousands of threads, which end only when cancelled.
"""
import argparse
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent / "commits"
SECONDS_MAX = 300
# What runs the threads. Of several processes only one is killed, usually a worker process, and its supervisor continues.
WAYS = [[], ["-c", "processes"]]
# The number of threads of cancelled.hk that report their start.
CANCELLED_THREADS = 8


class Wrong(Exception):
    """An expectation does not hold."""


class Project:
    """A copy of the program, with a session that is ready to run."""

    def __init__(self, hark, killer, program="program.hk"):
        self.hark, self.killer = hark, killer
        self.folder = Path(tempfile.mkdtemp(prefix="hark-commits-"))
        shutil.copytree(PROGRAM, self.folder, dirs_exist_ok=True)
        (self.folder / "hark.toml").touch()
        self.session = self.ask("run", "-s", "sqlite", "--detach", program).strip()
        self.ask("resolve", f"{self.session}/door/1", '"open"')

    def start(self, *words, kill_at=None):
        """Runs a command to its end."""
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        if kill_at is not None:
            environment |= {"LD_PRELOAD": str(self.killer), "KILL_AT": str(kill_at)}
            environment |= {"COUNT_FILE": str(self.folder / "count"), "KILLED_FILE": str(self.folder / "killed")}
        command = [self.hark, *words]
        try:
            return subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
            )
        except subprocess.TimeoutExpired:
            raise Wrong(f"`{' '.join(words)}` does not end") from None

    def ask(self, *words):
        done = self.start(*words)
        if done.returncode != 0:
            raise Wrong(f"`{' '.join(words)}` ends with {done.returncode}: {done.stderr}")
        return done.stdout

    def outcome(self):
        """The outcome of the session: its result, and the lines printed by Hark. Python's lines are printed once per attempt."""
        shown = json.loads(self.ask("show", "--json", self.session))
        if shown["status"] != "finished":
            raise Wrong(f"the session is {shown['status']}: {shown['errors']}")
        lines = [line["text"] for line in self.printed()]
        # The line break may be a separate item, if Python was delayed before it.
        return shown["result"], collections.Counter(line for line in lines if line.strip() and not line.startswith("double"))

    def printed(self):
        return json.loads(self.ask("stdout", "--json", self.session))

    def wait(self):
        """Lets its threads run until they wait, then stops serving it."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen([self.hark, "resume", "-q"], cwd=self.folder, **silent)
        wait_until("its threads begin", lambda: len(self.printed()) >= CANCELLED_THREADS)
        server.kill()
        server.wait()

    def remove(self):
        shutil.rmtree(self.folder)

    def state(self):
        return json.loads(self.ask("show", "--json", self.session))["state"]


def resume(project, way, kill_at):
    """Resumes until the session is over or a process was killed. Returns whether one was."""
    done = project.start("resume", "-q", *way, kill_at=kill_at)
    if done.returncode not in (0, -signal.SIGKILL):
        raise Wrong(f"`resume` ends with {done.returncode}: {done.stderr}")
    return (project.folder / "killed").exists()


def play(hark, killer, way, kill_at, expected):
    """Returns whether it was killed, and the failure."""
    project = Project(hark, killer)
    try:
        was_killed = resume(project, way, kill_at)
        project.ask("resume", "-q", *way)
        result, lines = project.outcome()
        if (result, lines) != expected:
            raise Wrong(f"it comes to {json.dumps(result)}\n    and prints {dict(lines)}")
    except Wrong as wrong:
        how = " ".join(["resume", *way])
        return False, f"`{how}`, killed at commit {kill_at}: {wrong}\n    the project is left in {project.folder}"
    project.remove()
    return was_killed, None


def cancel(hark, killer, kill_at):
    """Returns the number of commits at which it can be killed, whether it was, and the failure."""
    project = Project(hark, killer, "cancelled.hk")
    try:
        project.wait()
        done = project.start("cancel", project.session, kill_at=kill_at)
        if done.returncode not in (0, -signal.SIGKILL):
            raise Wrong(f"`cancel` ends with {done.returncode}: {done.stderr}")
        was_killed = done.returncode != 0
        again = project.start("cancel", project.session)
        if again.returncode not in (0, 2):
            raise Wrong(f"the next `cancel` ends with {again.returncode}: {again.stderr}")
        shown = json.loads(project.ask("show", "--json", project.session))
        if shown["state"] != "cancelled" or shown["errors"]:
            raise Wrong(f"the session is {shown['state']}: {shown['errors']}")
        lines = collections.Counter(line["text"].strip() for line in project.printed())
        begun = [line.removeprefix("in ") for line in lines if line.startswith("in ")]
        if lines != collections.Counter([f"in {name}" for name in begun] + [f"clean {name}" for name in begun]):
            raise Wrong(f"it prints {dict(lines)}")
        commits = len((project.folder / "count").read_text())
    except Wrong as wrong:
        said = f"`cancel`, killed at commit {kill_at}: {wrong}\n    the project is left in {project.folder}"
        return 0, False, said
    project.remove()
    return commits, was_killed, None


def cancel_served(hark, killer, kill_at):
    """The same for a session that is being served. There is no second `hark cancel` once the cancellation is durable."""
    project = Project(hark, killer, "crowd.hk")
    project.ask("cancel", "--now", project.session)
    # The process that starts a session keeps it in memory.
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([hark, "run", "-q", "-s", "sqlite", "crowd.hk"], cwd=project.folder, **silent)
    try:
        running = lambda: project.ask("sessions", "-q", "--state", "running").strip()
        wait_until("it begins", running)
        project.session = running()
        wait_until("its threads begin", lambda: len(project.printed()) == 1)
        done = project.start("cancel", project.session, kill_at=kill_at)
        if done.returncode not in (0, -signal.SIGKILL):
            raise Wrong(f"`cancel` ends with {done.returncode}: {done.stderr}")
        if project.state() == "running":
            # The first commit of the cancellation was not made.
            project.ask("cancel", project.session)
        wait_until("it is cancelled", lambda: project.state() == "cancelled")
        commits = len((project.folder / "count").read_text())
    except Wrong as wrong:
        said = f"`cancel` of a served session, killed at commit {kill_at}: {wrong}\n    the project is left in {project.folder}"
        return 0, False, said
    finally:
        server.kill()
        server.wait()
    project.remove()
    return commits, done.returncode != 0, None


def start_once(hark, killer, kill_at):
    """Starts a session under a key twice. Returns the number of commits of the first start, whether it was killed, and the
    failure."""
    project = Project(hark, killer)
    line = ["run", "-q", "-s", "sqlite", "--key", "once", "keyed.hk"]
    try:
        done = project.start(*line, kill_at=kill_at)
        if done.returncode not in (0, -signal.SIGKILL):
            raise Wrong(f"the start ends with {done.returncode}: {done.stderr}")
        project.ask(*line)
        of_key = [each for each in json.loads(project.ask("sessions", "--json")) if each["file"] == "keyed.hk"]
        if [each["key"] for each in of_key] != ["once"]:
            raise Wrong(f"there are {len(of_key)} sessions")
        shown = json.loads(project.ask("show", "--json", "once"))
        printed = [each["text"] for each in json.loads(project.ask("stdout", "--json", "once"))]
        if (shown["status"], shown["result"], printed) != ("finished", 42, ["begun\n", "done\n"]):
            raise Wrong(f"it is {shown['status']} with {shown['result']}, and prints {printed}")
        commits = len((project.folder / "count").read_text())
    except Wrong as wrong:
        said = f"a start under a key, killed at commit {kill_at}: {wrong}\n    the project is left in {project.folder}"
        return 0, False, said
    project.remove()
    return commits, done.returncode != 0, None


def wait_until(what, holds):
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > SECONDS_MAX:
            raise Wrong(f"waited in vain for: {what}")
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path, help="the binary")
    parser.add_argument("--at", type=int, help="the only commit to be killed at")
    parser.add_argument("--jobs", type=int, default=4, help="how many to run at a time")
    asked = parser.parse_args()
    hark = str(asked.hark.resolve())
    with tempfile.TemporaryDirectory() as built:
        killer = Path(built) / "killer.so"
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", killer, PROGRAM / "killer.c", "-ldl"], check=True)
        undisturbed = Project(hark, killer)
        resume(undisturbed, [], 0)
        expected, commits = undisturbed.outcome(), len((undisturbed.folder / "count").read_text())
        undisturbed.remove()
        print(f"{commits} commits; the result is {json.dumps(expected[0])}", flush=True)
        cancelling, _, failure = cancel(hark, killer, 0)
        telling, _, other_failure = cancel_served(hark, killer, 0)
        starting, _, start_failure = start_once(hark, killer, 0)
        if failure or other_failure or start_failure:
            raise SystemExit(failure or other_failure or start_failure)
        moments = range(1, commits + 1) if asked.at is None else [asked.at]
        rounds = [(way, at) for way in WAYS for at in moments]
        killed, failures = 0, []
        with ThreadPoolExecutor(asked.jobs) as pool:
            played = pool.map(lambda each: play(hark, killer, *each, expected), rounds)
            cancels = range(1, cancelling + 1) if asked.at is None else [asked.at]
            cancelled = pool.map(lambda at: cancel(hark, killer, at)[1:], cancels)
            tells = range(1, telling + 1) if asked.at is None else [asked.at]
            told = pool.map(lambda at: cancel_served(hark, killer, at)[1:], tells)
            starts = range(1, starting + 1) if asked.at is None else [asked.at]
            started = pool.map(lambda at: start_once(hark, killer, at)[1:], starts)
            rounds += [*cancels, *tells, *starts]
            for was_killed, failure in [*played, *cancelled, *told, *started]:
                killed += was_killed
                if failure:
                    failures.append(failure)
                    print(failure, flush=True)
    print(f"{len(rounds) - len(failures)} rounds passed, {len(failures)} failed; killed in {killed}")
    if not killed:
        print("nothing was ever killed", file=sys.stderr)
    raise SystemExit(1 if failures or not killed else 0)


if __name__ == "__main__":
    main()
