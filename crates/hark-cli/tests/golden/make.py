#!/usr/bin/env python3
"""Writes the golden files of a new format: make.py HARK FOLDER, where FOLDER has golden.hk and src."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

PATIENCE = 60
SERVED = ["promised", "named", "crowd", "woken", "asleep", "calls", "large", "follows", "alone", "cancelling", "moved"]


def main(hark, golden):
    hark, golden = Path(hark).resolve(), Path(golden).resolve()
    with tempfile.TemporaryDirectory() as folder:
        make(hark, golden, Path(folder))


def make(hark, golden, folder):
    shutil.copy(golden / "golden.hk", folder)
    shutil.copytree(golden / "src", folder / "src")

    def run(*words):
        return subprocess.run([hark, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout

    def start(function):
        return run("run", "-s", "sqlite", "--detach", "golden.hk", "-f", function).decode().strip()

    run("run", "-s", "sqlite", "-q", "golden.hk", "-f", "finished")
    run("run", "-s", "sqlite", "-q", "golden.hk", "-f", "broken")
    run("cancel", start("cancelled"))

    (folder / "gate").touch()
    ids = {function: start(function) for function in SERVED}
    worker = subprocess.Popen([hark, "worker", "-q"], cwd=folder)
    wait_until(lambda: all(json.loads(run("stdout", ids[each], "--json")) for each in SERVED if each != "alone"))
    # Whatever was printed last is followed by a wait.
    wait_until(lambda: all(has_settled(folder, id) for id in ids.values()))
    cancel = subprocess.Popen([hark, "cancel", ids["cancelling"]], cwd=folder)
    wait_until(lambda: b"cancelled, until" in run("show", ids["cancelling"]) and has_settled(folder, ids["cancelling"]))
    for process in (cancel, worker):
        process.send_signal(signal.SIGKILL)
        process.wait()

    kill_halfway(hark, folder)
    start("fresh")
    run("resolve", ids["woken"] + "/bell/1", "100")
    (golden / "session.hark").write_bytes(run("export", ids["moved"]))
    database = sqlite3.connect(folder / ".hark/hark.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_machine_files(database, golden, ids["promised"])
    database.close()
    shutil.copy(folder / ".hark/hark.db", golden)
    write_looks(run, golden)
    check_paths(golden, [folder, Path.home(), hark.parent])


def kill_halfway(hark, folder):
    """Kills a session in the midst of what it does. Whether threads were ready then is a matter of luck."""
    kept = folder / ".hark"
    shutil.copytree(kept, folder / "before", ignore=shutil.ignore_patterns("servers"))
    while True:
        words = [hark, "run", "-s", "sqlite", "-q", "golden.hk", "-f", "halfway"]
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE)
        for _ in range(10):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        with closing(sqlite3.connect(kept / "hark.db")) as database:
            sql = """SELECT count(*) FROM thread
                WHERE session = (SELECT max(number) FROM session) AND summary LIKE '%runnable%'"""
            if database.execute(sql).fetchone()[0] > 5:
                return
        shutil.rmtree(kept)
        shutil.copytree(folder / "before", kept)


def wait_until(holds):
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > PATIENCE:
            sys.exit("it never came")
        time.sleep(0.05)


def has_settled(folder, id):
    """Whether none of a session's threads has anything to do but to wait."""
    with closing(sqlite3.connect(folder / ".hark/hark.db")) as database:
        of_session = "session = (SELECT number FROM session WHERE id = ?)"
        ready = database.execute(f"SELECT count(*) FROM ready WHERE {of_session}", [id]).fetchone()[0]
        summaries = database.execute(f"SELECT summary FROM thread WHERE {of_session}", [id]).fetchall()
    return ready == 0 and not any("runnable" in summary for (summary,) in summaries)


def write_machine_files(database, golden, id):
    """A program, and the snapshot of a thread of it, as the machine reads them."""
    (golden / "program.executable").write_bytes(database.execute("SELECT content FROM program").fetchone()[0])
    sql = "SELECT content FROM thread JOIN session ON session = session.number WHERE id = ? AND thread.number = 0"
    content = database.execute(sql, [id]).fetchone()[0]
    # Magic and version, a 1, how many bytes there are (seven bits at a time, the lowest first), and the snapshot.
    assert content[:6] == b"HkLi\x01\x01", content[:6]
    length, at, shift = 0, 6, 0
    while True:
        length |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 0x80:
            break
    (golden / "thread.snapshot").write_bytes(content[at : at + length])


def write_looks(run, golden):
    """What the commands that only look print, as a transcript."""
    listed = json.loads(run("sessions", "--json"))
    lines = [f"{command} {each['session']}" for each in reversed(listed) for command in ("show", "stdout", "events")]
    text = "".join(f"$ hark {line}\n" + run(*line.split()).decode() for line in lines)
    (golden / "looks.txt").write_text(text)


def check_paths(golden, folders):
    for file in golden.iterdir():
        if file.is_file():
            for path in folders:
                assert str(path).encode() not in file.read_bytes(), f"{file} names {path}"


if __name__ == "__main__":
    main(*sys.argv[1:])
