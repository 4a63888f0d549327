"""A project whose sessions are in a storage, for tests: its commands run as a user runs them."""
import contextlib
import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import server

FOLDER = Path(__file__).resolve().parent
# Enough for the largest sessions of large.py on a busy machine.
SECONDS_MAX = 900
# How long a killed process still seems to hold a thread, in seconds.
LEASE = 5
SETTINGS = """[sessions]
tenure = "threads"
lease = {lease}
[storage.dynamodb]
table = "{table}"
"""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
# Times and durations.
TIMES = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?"), "TIME"),
    (re.compile(r"\+\d+\.\d{6}"), "+TIME"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "SECONDS"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r" +"), " "),
    # The threads of `hark sessions`: in a table, numbers that are reserved count as well.
    (re.compile(r"SECONDS \d+ (?=\w+\()"), "SECONDS THREADS "),
]


class Wrong(Exception):
    """An expectation does not hold."""


def expect(is_so, *shown):
    if not is_so:
        raise Wrong("\n".join(str(each) for each in shown))


def without_storage(text):
    """What a command prints, without the names of storages."""
    return re.sub(r"the table `[^`]*`|`?\.hark/hark\.db`?", "STORAGE", text).replace(" -s dynamodb", "").replace(" -s sqlite", "")


class Place:
    """A project whose sessions are in one of the storages."""

    def __init__(self, hark, storage, name, environment, direct, project, more=""):
        self.hark, self.storage, self.environment, self.direct = hark, storage, environment, direct
        self.table = f"hark-{name}-{storage}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"hark-{name}-"))
        shutil.copytree(FOLDER / project, self.folder, dirs_exist_ok=True)
        (self.folder / "hark.toml").write_text(SETTINGS.format(lease=LEASE, table=self.table) + more)
        # The output to compare with the other storage, and the processes that may have to be ended.
        self.said, self.started = [], []
        self.ask("storage", "init")

    def command(self, *words, storage=None):
        return [self.hark, *words, "-s", storage or self.storage]

    def start(self, *words, **more):
        """A command that runs beside the test."""
        process = subprocess.Popen(self.command(*words, **more), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        return process

    def run(self, *words, status=0, **more):
        """Runs a command to its end, and checks its exit status."""
        process = self.start(*words, **more)
        try:
            out, err = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Wrong(f"{words} does not end") from None
        expect(process.returncode == status, words, process.returncode, out[-2000:], err[-2000:].decode())
        return out, err

    def ask(self, *words, **more):
        """What a command prints on standard output."""
        return self.run(*words, **more)[0].decode()

    def say(self, *words, **more):
        """Runs a command whose output must be the same on each storage."""
        out, err = (text.decode() for text in self.run(*words, **more))
        self.said.append((words[0], self.plain(out), self.plain(err)))
        return out

    def plain(self, text):
        """A text without the parts that differ from run to run."""
        ids = {}
        text = ID.sub(lambda found: ids.setdefault(found[0], f"ID{len(ids)}"), text.replace(str(self.folder), "FOLDER"))
        for pattern, name in TIMES:
            text = pattern.sub(name, text)
        return text

    def json(self, *words):
        return json.loads(self.ask(*words, "--json"))

    def begin(self, *words):
        """Begins a session that others run; its id."""
        return self.ask("run", "--detach", "program.hk", *words).strip()

    def until(self, what, holds):
        begun = time.monotonic()
        while not holds():
            expect(time.monotonic() - begun < SECONDS_MAX, f"waited in vain: {what}")
            time.sleep(0.05)

    def state(self, id):
        return self.json("show", id)["state"]

    @contextlib.contextmanager
    def worker(self):
        """A worker, until the end of the block."""
        process = self.start("worker", "-q")
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=SECONDS_MAX)
        expect(process.returncode in (0, -signal.SIGKILL), "the worker ended with", process.returncode, err.decode())

    def items(self):
        """All items of the table. Only a test may scan it, past the proxy."""
        items, start = [], {}
        while start is not None:
            answer = server.call(self.direct, "Scan", {"TableName": self.table, **start})
            items += answer["Items"]
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]} if "LastEvaluatedKey" in answer else None
        return items

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)
