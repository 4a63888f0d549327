#!/usr/bin/env python3
"""Kills `hark` at random moments, resumes its session until it has ended, and checks that nothing is lost or done twice.

    crash.py HARK [--rounds N] [--seed S] [--jobs N] [--function NAME] [--calls threads|processes|leases]
             [--storage sqlite|dynamodb]

A round runs one function of tests/crash/program.hk, with threads or with processes, on SQLite or in a DynamoDB table, whose
server (tests/dynamodb/server.py) is not killed. Several times either everything
is killed with SIGKILL, including Python's workers, or only a worker process of a supervisor, which must replace it; while the
session is started, resumed or served by `hark worker`, and while promises are resolved from outside. With `leases`, three
workers share the session's threads, and each of them is killed, terminated, or stopped for longer than its lease and
continued. Finally the session must have ended with the right result, each line of output must exist once, and each Python
call must have one recorded result. A failure is printed with its round's seed; `--seed S --rounds 1` repeats the same choices,
though not at the same nanosecond. The exit status is 0 if nothing failed.
"""
import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent / "crash"
SECONDS_MAX = 300
# A call fails when its worker is lost for the fifth time.
LOSSES_MAX = 4
# What runs the threads.
WAYS = [[], ["-c", "processes"]]
# The number of workers that share leased threads, and the lease in seconds.
SHARING = 3
LEASE = 1


class Wrong(Exception):
    """An expectation does not hold."""


def nodes(path, depth):
    """The nodes of the tree walked by `tree`."""
    yield ["node", path]
    for n in (3, 2, 1) if depth else ():
        yield from nodes([*path, n], depth - 1)


# For each function: its output and result, given the values of the promises and the results of the Python calls.
EXPECTED = {
    "tree": lambda values, token: (list(nodes([], 3)), 40),
    "chain": lambda values, token: (
        [["chain", n, token("chain", n)] for n in range(1, 9)],
        [token("chain", n) for n in range(1, 9)],
    ),
    "naps": lambda values, token: ([["nap", n, times] for n in range(1, 7) for times in range(1, 6)], 21),
    "doors": lambda values, token: (
        [["promise", values["id"]], ["mine", values["promise"], values["door/2"]]]
        + [["through", n, values["door/1"]] for n in range(1, 25)],
        300,
    ),
    "mixed": lambda values, token: (
        [["task", n, token("task", n, 1), token("task", n, 2), values["gate/1"]] for n in range(1, 6)],
        [[token("task", n, 1), token("task", n, 2)] for n in range(5, 0, -1)],
    ),
    "limited": lambda values, token: (
        [["in", n] for n in range(1, 7)] + [["out", n, token("out", n)] for n in range(1, 7)],
        21,
    ),
    "relay": lambda values, token: ([["pass", n] for n in range(41)] * 2, 14),
    "guarded": lambda values, token: (
        [["opened", n, values["hatch/1"]] for n in range(20)]
        + [["refused", n, token("refused", n)] for n in range(3)]
        + [["nap", 0, times] for times in (1, 2, 3)]
        + [["any", 6]],
        [190, ["python"] * 3, [0, 1, 2, 3, 4, 5], "no"],
    ),
    "busy": lambda values, token: ([[name, n] for name in ("one", "two") for n in range(1, 2501)], 5000),
}
PROMISES = {"doors": ["promise", "door/1", "door/2"], "mixed": ["gate/1"], "guarded": ["hatch/1"]}
# The number of calls that return a value or raise an error.
CALLS = {"chain": 8, "mixed": 10, "limited": 6, "guarded": 3}


def kill_all(process, workers_first, pause):
    """Kills a process and all others of its OS session: Hark's Python workers are in their own process groups. A system that
    kills everything guarantees neither an order nor simultaneity."""
    workers = others_of(process.pid)
    for group in (workers, [process.pid]) if workers_first else ([process.pid], workers):
        kill(group)
        time.sleep(pause)
    process.wait()
    # Also those started meanwhile. A forked child that has not yet executed another program holds the open files of its
    # parent, above all its lock, until it is gone.
    while left := others_of(process.pid):
        kill(left)
        time.sleep(0.001)


def workers_of(supervisor):
    """The live worker processes of a supervisor. A child forked to become Python still has their name, but another parent."""
    found = []
    for each in others_of(supervisor):
        try:
            words = Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")
            parent = int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"worker-process" in words[1:2] and parent == supervisor:
            found.append(each)
    return found


def kill(processes):
    for each in processes:
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            pass


def others_of(session):
    """The processes of a session, except its leader."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != session:
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(folder.name))
    return found


def said_by(process):
    process.said.seek(0)
    return process.said.read().decode(errors="replace")


class Round:
    """A session, from its start to its expected end."""

    def __init__(self, hark, folder, seed, function=None, losses=None, pace=None, ways=WAYS, storage="sqlite"):
        self.storage = storage
        self.hark, self.folder, self.chance, self.ways = hark, folder, random.Random(seed), ways
        self.function = function or self.chance.choice(sorted(EXPECTED))
        self.losses_left = self.chance.randint(1, LOSSES_MAX) if losses is None else losses
        self.pace = pace or {}
        self.kills, self.story = 0, []
        self.environment = {**os.environ, "CRASH_CALLS": str(folder / "calls"), "PYTHONDONTWRITEBYTECODE": "1"}
        # The values of the promises, and what has been tried.
        self.values, self.tried = {}, set()
        shutil.copytree(PROGRAM, folder, dirs_exist_ok=True)
        if storage == "dynamodb":
            # A table of its own.
            (folder / "hark.toml").write_text(
                f'[project]\nstorage = "dynamodb"\n[storage.dynamodb]\ntable = "{folder.name}"\n[sessions]\nlease = {LEASE}\n')
            self.ask("storage", "init", json_option=[])

    def start(self, *words):
        """Starts `hark` as the leader of an OS session."""
        self.story.append(" ".join(["hark", *words]))
        # Not a pipe, because it is not read while the process runs.
        said = tempfile.TemporaryFile(dir=self.folder)
        process = subprocess.Popen(
            [self.hark, *words], cwd=self.folder, env=self.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )
        process.said = said
        return process

    def ask(self, *words, status=0, json_option=("--json",)):
        """The output of `hark`, as JSON if it is asked for."""
        try:
            done = subprocess.run([self.hark, *words, *json_option], cwd=self.folder, env=self.environment,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Wrong(f"`hark {' '.join(words)}` does not end") from None
        if done.returncode != status:
            raise Wrong(f"`hark {' '.join(words)}` ends with {done.returncode}: {done.stdout + done.stderr}")
        return json.loads(done.stdout) if json_option else done.stdout

    def session(self):
        """The session's summary, if it has begun."""
        found = self.ask("sessions")
        if len(found) > 1:
            raise Wrong(f"there are {len(found)} sessions: {found}")
        return found[0] if found else None

    def session_at_rest(self):
        """The session's summary when nobody serves it. Where threads are leased, a lost process holds them a little longer."""
        deadline = time.monotonic() + SECONDS_MAX
        while self.storage == "dynamodb" and (session := self.session()) and session["state"] == "running":
            if time.monotonic() > deadline:
                raise Wrong("a lost process is still believed to serve the session")
            time.sleep(0.1)
        return self.session()

    def play(self):
        while (session := self.session_at_rest()) is None or session["state"] == "suspended":
            process = self.start(*self.next_command(session))
            try:
                self.attend(process)
            finally:
                if process.poll() is None:
                    kill_all(process, workers_first=False, pause=0)
                process.said.close()
        if session["state"] != "finished":
            raise Wrong(f"the session is {session['state']}: {self.ask('show')['errors']}")
        self.check(session["session"])

    def next_command(self, session):
        how = self.chance.choice(self.ways)
        if session is None:
            more = self.chance.choice([[], ["--json"], ["--detach"]])
            return ["run", "-s", self.storage, *how, "program.hk", "-f", self.function, *more]
        return [*self.chance.choice([["resume"], ["resume", "--json"], ["resume", session["session"]], ["worker"]]), *how]

    def attend(self, process):
        """Lets a process run until it ends or is to be killed."""
        begun = time.monotonic()
        end = self.end_of_patience()
        resolve_at = begun + self.chance.uniform(0, 0.1)
        serves, is_over = "worker" in process.args, False
        while process.poll() is None:
            if time.monotonic() >= end:
                if not self.kill_worker(process, time.monotonic() - begun):
                    break
                end = self.end_of_patience()
            if PROMISES.get(self.function) and time.monotonic() >= resolve_at:
                self.resolve_some()
                resolve_at = time.monotonic() + self.chance.uniform(0, 0.1)
            if serves and not is_over:
                is_over = self.session()["state"] not in ("running", "suspended")
                if is_over:
                    # Once: a second signal would end it at once.
                    process.terminate()
            time.sleep(max(0, min(0.01, end - time.monotonic())))
        if process.poll() is None:
            if not self.losses_left:
                raise Wrong(f"`{self.story[-1]}` does not end; {self.ask('show')}")
            self.kill(process, time.monotonic() - begun)
            return
        if process.returncode != 0:
            raise Wrong(f"`{self.story[-1]}` ends with {process.returncode}: {said_by(process)}")

    def end_of_patience(self):
        if not self.losses_left:
            return time.monotonic() + SECONDS_MAX
        return time.monotonic() + self.chance.uniform(0, 1.1 * self.pace.get(self.function, 0.3))

    def kill_worker(self, process, after):
        """Kills a worker process, if there is one and losses are left. Its supervisor continues."""
        if not self.losses_left or "processes" not in process.args or self.chance.random() < 0.4:
            return False
        workers = workers_of(process.pid)
        if not workers:
            return False
        self.losses_left -= 1
        self.kills += 1
        self.story.append(f"a worker process killed after {after:.4f} s")
        kill([self.chance.choice(workers)])
        return True

    def kill(self, process, after):
        # If the Python workers are killed first, a call is repeated at once, and lost again with Hark.
        workers_first = self.losses_left >= 2 and self.chance.random() < 0.3
        self.losses_left -= 2 if workers_first else 1
        self.kills += 1
        self.story.append(f"killed after {after:.4f} s{', its Python workers first' if workers_first else ''}")
        kill_all(process, workers_first, self.chance.choice([0, 0, 0.001, 0.005]))

    def resolve_some(self):
        """Resolves a promise with two concurrent commands: one of them must report that it was too late."""
        session = self.session()
        left = [each for each in PROMISES[self.function] if each not in self.values]
        if session is None or session["state"] not in ("running", "suspended") or not left:
            return
        promise = self.chance.choice(left)
        future = f"{session['session']}/{promise}"
        if promise == "promise":
            lines = [json.loads(each["text"]) for each in self.ask("stdout", session["session"])]
            ids = [line[1] for line in lines if line[0] == "promise"]
            if not ids:
                return
            future = self.values["id"] = ids[0]
        words = [["resolve", future, json.dumps(each)] for each in ("left", "right")]
        both = [self.start(*each) for each in words]
        statuses = [each.wait(SECONDS_MAX) for each in both]
        said = [said_by(each) for each in both]
        for each in both:
            each.said.close()
        if sorted(statuses) != [0, 2]:
            raise Wrong(f"of two who resolve `{promise}`, one must be the first: {statuses} {said}")
        self.values[promise] = ("left", "right")[statuses.index(0)]
        told = said[statuses.index(2)]
        # After the last promise the session may end before the second command reads it.
        is_over = len(left) == 1 and "its session is finished" in told
        if not is_over and f'already has a value: "{self.values[promise]}"' not in told:
            raise Wrong(f"the second is not told the first value, {self.values[promise]}: {said}")

    def check(self, session):
        answered = {}

        def token(*key):
            return answered.get(json.dumps(list(key)))

        made = collections.defaultdict(list)
        calls = self.folder / "calls"
        for line in calls.read_text().splitlines() if calls.exists() else ():
            call = json.loads(line)
            made[json.dumps(call["key"])].append(call["token"])
        printed = [json.loads(each["text"]) for each in self.ask("stdout", session)]
        # The output shows which result of a call was used.
        for line in printed:
            if line[0] in ("chain", "refused", "out"):
                answered[json.dumps(line[:2])] = line[2]
            elif line[0] == "task":
                answered |= {json.dumps([*line[:2], 1]): line[2], json.dumps([*line[:2], 2]): line[3]}
        output, result = EXPECTED[self.function](self.values, token)
        if sorted(map(json.dumps, printed)) != sorted(map(json.dumps, output)):
            counts = collections.Counter(map(json.dumps, printed))
            counts.subtract(map(json.dumps, output))
            wrong = {line: count for line, count in counts.items() if count}
            raise Wrong(f"lines of output that are missing, or printed too often: {wrong}")
        shown = self.ask("show", session)
        if shown["status"] != "finished" or shown["result"] != result or shown["errors"]:
            raise Wrong(f"the result must be {result}: {shown['status']} {shown['result']} {shown['errors']}")
        self.check_calls(session, made, answered)

    def check_calls(self, session, made, answered):
        events = self.ask("events", session)
        count = collections.Counter(each["event"] for each in events)
        expected = CALLS.get(self.function, 0)
        recorded = count["returned"] + count["raised"]
        if recorded != expected or len(made) != expected:
            raise Wrong(f"{expected} calls, but {recorded} recorded results of {len(made)}: {dict(count)}")
        if sum(map(len, made.values())) > count["called"]:
            raise Wrong(f"more calls were made than begun: {dict(made)}, {dict(count)}")
        for key, answer in answered.items():
            if answer not in made[key]:
                raise Wrong(f"{key}: the answer {answer} is not among {made[key]}")
        under_way = {}
        for each in events:
            thread, event = each["thread"], each["event"]
            if event == "called":
                under_way[thread] = under_way.get(thread, 0) + 1
                if under_way[thread] > 1 and each["attempt"] != under_way[thread]:
                    raise Wrong(f"thread {thread}: {each} must be attempt {under_way[thread]}")
            elif event in ("returned", "raised") and not under_way.pop(thread, 0):
                raise Wrong(f"thread {thread}: an answer without a call")
            elif event == "finished" and under_way.get(thread):
                raise Wrong(f"thread {thread}: it ended before its call")


class Shared(Round):
    """A session whose threads are leased by several workers, which are stopped and replaced."""

    def play(self):
        if self.storage == "sqlite":
            (self.folder / "hark.toml").write_text(
                f'[project]\nstorage = "sqlite"\n[sessions]\ntenure = "threads"\nlease = {LEASE}\n')
        self.workers, self.still = [], []
        try:
            self.start_workers()
            starter = self.start("run", "--detach", "program.hk", "-f", self.function)
            if starter.wait(SECONDS_MAX) != 0:
                raise Wrong(f"the session does not start: {said_by(starter)}")
            starter.said.close()
            self.disturb()
            for worker in self.workers + [worker for worker, _ in self.still]:
                self.end(worker)
        finally:
            for worker in self.workers + [worker for worker, _ in self.still]:
                kill_all(worker, workers_first=False, pause=0)
                worker.said.close()
        session = self.session()
        if session["state"] != "finished":
            raise Wrong(f"the session is {session['state']}: {self.ask('show')['errors']}")
        self.check(session["session"])

    def start_workers(self):
        while len(self.workers) < SHARING:
            self.workers.append(self.start("worker", "-q"))

    def end(self, worker):
        """Terminates a worker, even if it is stopped."""
        worker.send_signal(signal.SIGCONT)
        worker.terminate()
        if worker.wait(SECONDS_MAX) != 0:
            raise Wrong(f"a worker ends with {worker.returncode}: {said_by(worker)}")

    def disturb(self):
        """Repeatedly disturbs a random worker until the session is over."""
        deadline = time.monotonic() + SECONDS_MAX
        next_time = time.monotonic()
        while self.session()["state"] in ("running", "suspended"):
            if time.monotonic() > deadline:
                raise Wrong(f"the session does not end: {self.ask('show')}")
            for worker in self.workers:
                if worker.poll() is not None:
                    raise Wrong(f"a worker ends by itself, with {worker.returncode}: {said_by(worker)}")
            for worker, until in [each for each in self.still if each[1] <= time.monotonic()]:
                self.still.remove((worker, until))
                worker.send_signal(signal.SIGCONT)
                self.workers.append(worker)
            if time.monotonic() >= next_time:
                self.disturb_one()
                next_time = time.monotonic() + self.chance.uniform(0, 1.1 * self.pace.get(self.function, 0.3))
            if PROMISES.get(self.function) and self.chance.random() < 0.3:
                self.resolve_some()
            time.sleep(0.02)

    def disturb_one(self):
        if not self.losses_left or len(self.workers) < SHARING:
            return
        worker = self.workers.pop(self.chance.randrange(len(self.workers)))
        how = self.chance.choice(["killed", "killed", "stopped", "ended"])
        self.story.append(f"a worker is {how}")
        if how == "ended":
            self.end(worker)
            worker.said.close()
        else:
            self.losses_left -= 1
            self.kills += 1
            if how == "killed":
                kill_all(worker, workers_first=False, pause=0)
                worker.said.close()
            else:
                if self.storage == "sqlite":
                    stop_between_commits(worker, self.folder / ".hark/hark.db")
                else:
                    worker.send_signal(signal.SIGSTOP)
                self.still.append((worker, time.monotonic() + self.chance.uniform(0, 3 * LEASE)))
        self.start_workers()


def stop_between_commits(worker, file):
    """Stops a worker while it is not committing: the file would stay locked while it is stopped."""
    with contextlib.closing(sqlite3.connect(file, timeout=0.1, isolation_level=None)) as database:
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            worker.send_signal(signal.SIGSTOP)
            while not is_still(worker.pid):
                time.sleep(0.001)
            try:
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
                return
            except sqlite3.OperationalError:
                worker.send_signal(signal.SIGCONT)
        raise Wrong("a worker is always in the middle of a commit")


def is_still(process):
    """Whether all threads of a process are stopped, or have ended."""
    for stat in Path(f"/proc/{process}/task").glob("*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # It has ended meanwhile.
        if text.rpartition(")")[2].split()[0] not in ("T", "Z", "X"):
            return False
    return True


def play(hark, seed, pace, function, ways, storage):
    """Plays a round. Returns the number of kills, and the failure."""
    folder = Path(tempfile.mkdtemp(prefix="hark-crash-"))
    played = (Round if ways else Shared)(hark, folder, seed, function, pace=pace, ways=ways, storage=storage)
    try:
        played.play()
    except Wrong as wrong:
        return played.kills, (
            f"{played.function}: {wrong}\n    " + "\n    ".join(played.story)
            + f"\n    the session is left in {folder}\n    again: crash.py HARK --rounds 1 --seed {seed}"
        )
    shutil.rmtree(folder)
    return played.kills, None


def measure(hark, storage):
    """The duration of each function on this machine, undisturbed."""
    pace = {}
    for function in EXPECTED:
        with tempfile.TemporaryDirectory(prefix="hark-crash-") as folder:
            begun = time.monotonic()
            Round(hark, Path(folder), 0, function, losses=0, storage=storage).play()
            pace[function] = time.monotonic() - begun
    return pace


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path, help="the binary")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, help="the first round's; each further round has the next number")
    parser.add_argument("--jobs", type=int, default=3, help="how many rounds at a time")
    parser.add_argument("--function", choices=sorted(EXPECTED), help="the function to run; by default a random one")
    parser.add_argument("--calls", choices=["threads", "processes", "leases"],
                        help="what runs the threads; by default threads or processes, at random")
    parser.add_argument("--storage", choices=["sqlite", "dynamodb"], default="sqlite", help="where the sessions are kept")
    asked = parser.parse_args()
    if asked.storage == "dynamodb" and "AWS_ENDPOINT_URL_DYNAMODB" not in os.environ:
        parser.error("run it by tests/dynamodb/server.py, which starts a server")
    hark, first = str(asked.hark.resolve()), asked.seed if asked.seed is not None else random.randrange(10**9)
    ways = {None: WAYS, "threads": WAYS[:1], "processes": WAYS[1:], "leases": None}[asked.calls]
    pace = measure(hark, asked.storage)
    print(f"{asked.rounds} rounds from seed {first}; undisturbed: " + ", ".join(f"{name} {took:.2f} s" for name, took in pace.items()), flush=True)
    kills = failed = 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        seeds = range(first, first + asked.rounds)
        for killed, failure in pool.map(lambda seed: play(hark, seed, pace, asked.function, ways, asked.storage), seeds):
            kills += killed
            if failure:
                failed += 1
                print(failure, flush=True)
    print(f"{asked.rounds - failed} rounds passed, {failed} failed; killed {kills} times")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
