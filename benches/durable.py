#!/usr/bin/env python3
"""Measures the cost of sessions on SQLite, and prints a table of the figures with their targets.

    durable.py [--hark PATH] [--waiting PATH] [--profile NAME] [--only ROW ...] [--runs N] [--quick] [--json]

Hark is built if necessary. Each row uses a new folder, with a new file, on the disk of the folder `target`. A figure is the
median of 3 runs; those of `naps`, `any_left`, `waiters`, `output`, `waiting`, `resolve`, `state` and `age` are from a single
run. Python is the interpreter that runs this script; `workers` has its default, except for `crash`, which has 32. CPU time is
that of the whole command, including Python's workers and their start. `--quick` uses small sizes, to check that everything
works; its figures have no targets.
"""
import argparse
import ctypes
import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROGRAMS = FOLDER / "programs/durable"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", FOLDER.parent / "target")).resolve()
PR_SET_CHILD_SUBREAPER = 36
SECONDS_MAX = 900
KILLED_WORKERS = 32  # as in crash.toml


@dataclass
class Size:
    """The sizes of the benchmarks."""

    sessions: int = 1000
    at_once: int = 20000  # sessions, 32 at a time
    threads: int = 1000
    crashed: int = 200
    waiting: int = 100_000
    resolved: int = 300
    state_bytes: int = 1_000_000
    awaits: int = 1000
    steps: int = 100_000
    calls: int = 20_000
    naps: int = 40_000
    any: int = 5_000
    waiters: int = 100_000
    printed_lines: int = 400_000  # of 1,000 bytes


QUICK = Size(sessions=50, at_once=200, threads=100, crashed=16, waiting=500, resolved=20, state_bytes=100_000,
             awaits=50, steps=2500, calls=200, naps=400, any=100,
             waiters=400, printed_lines=2_000)


@dataclass
class Figure:
    """A row of the table: a figure and its targets."""

    title: str
    unit: str
    value: float
    at_least: float = None  # the worst acceptable value, and the goal
    aim: float = None
    more_is_better: bool = False
    note: str = ""

    def verdict(self):
        def reaches(asked):
            return self.value >= asked if self.more_is_better else self.value <= asked

        if self.at_least is None:
            return ""
        return "aim" if self.aim is not None and reaches(self.aim) else "pass" if reaches(self.at_least) else "MISS"


class Failed(Exception):
    """A command did not do what it should."""


class Bench:
    """The folder of the measurements, and the processes started for them."""

    def __init__(self, hark, waiting, runs, size):
        self.hark, self.waiting, self.runs, self.size = str(hark), str(waiting), runs, size
        self.started = []
        TARGET.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="durable-", dir=TARGET))
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        # Adopt Python's workers that outlive Hark, to count their CPU time.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def project(self):
        """A new folder with the programs, without sessions."""
        project = Path(shutil.copytree(PROGRAMS, tempfile.mkdtemp(dir=self.folder), dirs_exist_ok=True))
        for settings in project.glob("*.toml"):
            settings.write_text(settings.read_text().replace("PYTHON", sys.executable))
        return project

    def start(self, project, *words):
        """Starts `hark` in its own OS session, which its Python workers share."""
        # Not a pipe, because it is not read while the process runs.
        said = tempfile.TemporaryFile(dir=self.folder)
        process = subprocess.Popen([self.hark, *words], cwd=project, env=self.environment, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        process.said = said
        self.started.append(process)
        return process

    def end(self, process, how=signal.SIGTERM):
        """Ends a process, and waits for all processes of its session."""
        for pid in [process.pid] if how == signal.SIGTERM else [process.pid, *others_of(process.pid)]:
            send(pid, how)
        process.wait(SECONDS_MAX)
        while others := others_of(process.pid):
            for pid in others:
                send(pid, signal.SIGKILL)
            reap()
        self.started.remove(process)

    def finish(self, process):
        """Waits for a command and returns its output."""
        status = process.wait(SECONDS_MAX)
        process.said.seek(0)
        said = process.said.read().decode(errors="replace")
        self.end(process)
        if status != 0:
            raise Failed(f"{' '.join(process.args)} ended with {status}:\n{said}")
        return said

    def run(self, project, *words):
        return self.finish(self.start(project, *words))

    def bench(self, project, program, *words, sessions, at_a_time=1, kind="threads"):
        """The figures of `hark bench`, and the CPU seconds of all its processes."""
        before = os.times()
        report = self.run(project, "bench", program, "-s", "sqlite", "-c", kind, "--json", "--sessions", str(sessions),
                          "--concurrency", str(at_a_time), *words)
        reap()
        after = os.times()
        report = json.loads(report)
        report["all_cpu_seconds"] = sum(after[2:4]) - sum(before[2:4])
        if report["unfinished"]:
            raise Failed(f"{program}: {report['unfinished']} sessions are not finished")
        return report

    def clean(self):
        for process in list(self.started):
            self.end(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def median(self, measure):
        return statistics.median(measure() for _ in range(self.runs))


def send(pid, number):
    try:
        os.kill(pid, number)
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


def reap():
    """Waits for orphans that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def in_status(pid, name):
    """A size in bytes, from the status of a process in /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise Failed(f"no {name} of process {pid}")


def on_disk(project):
    return sum(path.stat().st_size for path in (project / ".hark").glob("hark.db*"))


def wait_until(holds, what, seconds=SECONDS_MAX, pause=0.01):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} s in vain for: {what}")
        time.sleep(pause)


# The rows. Each yields its figures.


def noop(bench, kind="threads"):
    """a session that returns its argument, one after another"""
    def p50():
        return bench.bench(bench.project(), "noop.hk", "7", sessions=bench.size.sessions, kind=kind)["latency_p50_seconds"]
    yield Figure("a session that returns its argument, p50", "ms", bench.median(p50) * 1e3, 1.0, 0.5)


def noop_32(bench, kind="threads"):
    """the same, 32 at a time"""
    def rate():
        return bench.bench(bench.project(), "noop.hk", "7", sessions=bench.size.at_once, at_a_time=32, kind=kind)["sessions_per_second"]
    yield Figure("the same, 32 at a time", "/s", bench.median(rate), 5000, 15000, more_is_better=True)


def steps(bench, kind="threads"):
    """10 Python steps in a row, one session after another"""
    def p50():
        return bench.bench(bench.project(), "steps.hk", sessions=bench.size.sessions // 2, kind=kind)["latency_p50_seconds"]
    yield Figure("10 Python steps in a row, p50", "ms", bench.median(p50) * 1e3, 10, 5)


def steps_commits(bench):
    """10 Python steps in a row, in units of eleven bare commits"""
    ratios = []
    for _ in range(bench.runs):
        project = bench.project()
        p50 = bench.bench(project, "steps.hk", sessions=bench.size.sessions // 2)["latency_p50_seconds"]
        ratios.append(p50 * 1e3 / (11 * disk(project)[0]))
    yield Figure("10 Python steps, against 11 x 4 KB with fdatasync", "x", statistics.median(ratios), 1.5)


EXECUTOR = """
import os, sys
sys.path.insert(0, sys.argv[1])
from concurrent.futures import ProcessPoolExecutor
from src.steps import step
if __name__ == "__main__":
    with ProcessPoolExecutor(int(sys.argv[3])) as pool:
        print(sum(pool.map(step, range(int(sys.argv[2])))))
"""


def many_calls(bench):
    """20,000 calls of a trivial Python function, against ProcessPoolExecutor"""
    calls = str(bench.size.calls)
    workers = len(os.sched_getaffinity(0))
    kept, in_memory, note = [], [], ""
    for _ in range(bench.runs):
        project = bench.project()
        (project / "hark.toml").write_text((project / "hark.toml").read_text() + f"[python]\nworkers = {workers}\n")
        (project / "executor.py").write_text(EXECUTOR)
        library = project / "src_of_executor"
        shutil.copytree(project / "src", library / "src")
        steps = library / "src/steps.py"
        steps.write_text(steps.read_text().replace("import hark\n", ""))
        times = []
        for command in ([sys.executable, "executor.py", str(library), calls, str(workers)],
                        [bench.hark, "run", "-q", "-s", "memory", "many.hk", calls],
                        [bench.hark, "run", "-q", "-s", "sqlite", "many.hk", calls]):
            begun = time.perf_counter()
            said = subprocess.run(command, cwd=project, env=bench.environment, capture_output=True, text=True)
            times.append(time.perf_counter() - begun)
            if said.stdout != f"{sum(range(int(calls) + 1))}\n":
                raise Failed(f"{command} printed {said.stdout[:200]!r}: {said.stderr[:1000]}")
        in_memory.append(times[1] / times[0])
        kept.append(times[2] / times[0])
        note = f"{times[0]:.2f} s of Python, {times[1]:.2f} s in memory, {times[2]:.2f} s kept, the last time"
    title = f"{bench.size.calls:,} Python calls at once"
    yield Figure(f"{title}, in memory, against ProcessPoolExecutor", "x", statistics.median(in_memory), 0.4, note=note)
    yield Figure(f"{title}, kept, against the same", "x", statistics.median(kept), 1.2)


def steps_32(bench, kind="threads"):
    """the same, 32 at a time"""
    def rate():
        return bench.bench(bench.project(), "steps.hk", sessions=2 * bench.size.sessions, at_a_time=32, kind=kind)["sessions_per_second"]
    yield Figure("the same, 32 at a time", "/s", bench.median(rate), 400, 800, more_is_better=True)


def threads(bench, kind="threads"):
    """1,000 threads started and awaited"""
    def rate():
        return bench.bench(bench.project(), "threads.hk", str(bench.size.threads), sessions=5, kind=kind)["threads_per_second"]
    yield Figure(f"{bench.size.threads:,} threads started and awaited", "/s", bench.median(rate), 10_000, 40_000, more_is_better=True)


def cpu_against_half(bench, program, count, kind):
    """The CPU seconds of one session with this argument, and a note with the cost of half the size."""
    half, whole = (
        bench.bench(bench.project(), program, str(each), sessions=1, kind=kind)["all_cpu_seconds"] for each in (count // 2, count)
    )
    return whole, f"half as many: {half:.2f} s"


def limited(bench):
    """1,000 threads of a function with `#[limit(10)]`"""
    def rate():
        return bench.bench(bench.project(), "limited.hk", str(bench.size.threads), sessions=1)["threads_per_second"]
    yield Figure(f"{bench.size.threads:,} threads with a limit of 10", "/s", bench.median(rate), more_is_better=True)


SHARING = 3  # workers, with SHARED_PYTHONS Python processes each
SHARED_PYTHONS = 2


def shared(bench):
    """1,000 threads with 5 ms of Python each, which three workers share, against one worker with as many Python processes"""
    sides = [serve_shared(bench, 1, SHARING * SHARED_PYTHONS),
             serve_shared(bench, SHARING, SHARED_PYTHONS, '[sessions]\ntenure = "threads"\n')]
    seconds = [[], []]
    # They take turns, so that other load on this computer affects both. The first round, which starts Python, is discarded.
    for run in range(bench.runs + 1):
        for times, (project, _) in zip(seconds, sides):
            times += [seconds_of(bench, project, "shared.hk", str(bench.size.threads))][:run]
    for _, workers in sides:
        for worker in workers:
            bench.end(worker)
    alone, together = map(statistics.median, seconds)
    note = f"{bench.size.threads / together:.0f} /s against {bench.size.threads / alone:.0f} /s"
    title = f"{bench.size.threads:,} threads with 5 ms of Python, shared by {SHARING} workers, against one"
    yield Figure(title, "x", alone / together, 0.9, 1.0, more_is_better=True, note=note)


def serve_shared(bench, workers, pythons, settings=""):
    """A folder served by this many workers, with this many Python processes each."""
    project = bench.project()
    (project / "hark.toml").write_text((project / "hark.toml").read_text() + f"[python]\nworkers = {pythons}\n{settings}")
    return project, [bench.start(project, "worker", "-q") for _ in range(workers)]


def seconds_of(bench, project, *words):
    """The duration of a session run by workers, according to its history."""
    session = bench.run(project, "run", "--detach", *words).strip()
    is_over = "SELECT state = 'finished' FROM session WHERE id = ?"
    wait_until(lambda: holds_in_file(project, is_over, session), "the session's end", pause=0.05)
    times = [datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
             for event in json.loads(bench.run(project, "events", session, "--json"))]
    return (max(times) - min(times)).total_seconds()


def naps(bench, kind="threads"):
    """40,000 threads that sleep for a millisecond"""
    seconds, note = cpu_against_half(bench, "naps.hk", bench.size.naps, kind)
    yield Figure(f"CPU for {bench.size.naps:,} threads that sleep for 1 ms", "s", seconds, 3.0, note=note)


def any_left(bench, kind="threads"):
    """5,000 threads, repeatedly awaiting any of those that are left"""
    seconds, note = cpu_against_half(bench, "any.hk", bench.size.any, kind)
    yield Figure(f"CPU for any of {bench.size.any:,} threads, until none is left", "s", seconds, 5.0, note=note)


def waiters(bench):
    """100,000 threads that wait for one promise"""
    project, count = bench.project(), bench.size.waiters
    # The waiters beyond the sixteenth have their own records.
    waits = "SELECT (SELECT count(*) FROM wait) + 16 >= ? AND (SELECT summary FROM thread WHERE number = 0) LIKE '%wait%'"
    server = bench.start(project, "run", "-q", "-s", "sqlite", "crowd.hk", str(count))
    wait_until(lambda: holds_in_file(project, waits, count), "all threads wait", pause=0.2)
    bench.end(server, signal.SIGKILL)
    server = bench.start(project, "resume", "-q")
    time.sleep(2)
    seconds, written = cpu_seconds(server.pid), bytes_written(server.pid)
    bench.end(server)
    yield Figure(f"CPU for resuming a session in which {count:,} threads wait", "s", seconds, 0.2)
    yield Figure("the same: written", "MB", written / 1e6, 1)
    session = json.loads(bench.run(project, "sessions", "--json"))[0]["session"]
    begun = time.monotonic()
    bench.run(project, "resolve", f"{session}/go/1", "1")
    yield Figure(f"resolving a promise that {count:,} threads wait for", "s", time.monotonic() - begun, 2)


def output(bench):
    """a Python function that prints 400 MB"""
    server = bench.start(bench.project(), "run", "-q", "-s", "sqlite", "loud.hk", str(bench.size.printed_lines))
    peak = 0
    while server.poll() is None:
        try:
            peak = max(peak, in_status(server.pid, "VmHWM"))
        except (FileNotFoundError, Failed):
            break
        time.sleep(0.02)
    bench.finish(server)
    title = f"memory while a Python function prints {bench.size.printed_lines / 1e3:g} MB"
    yield Figure(title, "MB", peak / 1e6, 100)


def holds_in_file(project, question, *values):
    try:
        with sqlite3.connect(f"file:{project}/.hark/hark.db?mode=ro", uri=True) as file:
            return bool(file.execute(question, values).fetchone()[0])
    except sqlite3.OperationalError:
        return False


def bytes_written(pid):
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/io").read_text().splitlines() if line.startswith("wchar"))


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu(bench):
    """CPU seconds for 1,000 sessions"""
    for program, words, count, asked in (("noop.hk", ["7"], "", (0.3, 0.1)), ("steps.hk", [], " of 10 Python steps", (4, 2))):
        for at_a_time, where in ((1, ", one after another"), (32, ", 32 at a time")):
            def seconds():
                return bench.bench(bench.project(), program, *words, sessions=bench.size.sessions, at_a_time=at_a_time)["all_cpu_seconds"]
            yield Figure(f"CPU for {bench.size.sessions:,} sessions{count}{where}", "s", bench.median(seconds), *asked)


def crash(bench):
    """200 sessions of 10 Python steps of 20 ms, killed half way"""
    runs = [crash_once(bench) for _ in range(bench.runs)]
    title = f"{bench.size.crashed} sessions of 10 steps of 20 ms, killed half way"
    seconds = statistics.median(seconds for seconds, _, _ in runs)
    yield Figure(f"{title}: all done in", "s", seconds, 1.5, 1.0, note=f"workers = {KILLED_WORKERS}")
    _, twice, in_flight = max(runs, key=lambda run: run[1] - run[2])
    yield Figure("the same: steps that ran twice", "", twice, in_flight, note="of the calls in flight; the worst run")


def crash_once(bench):
    """The seconds from the restart until everything was done, the number of steps that ran twice, and the number of calls in flight."""
    project = bench.project()
    calls = project / "calls"
    calls.touch()
    bench.environment["DURABLE_CALLS"] = str(calls)
    sessions = [bench.run(project, "run", "slow.hk", "--config", "crash.toml", "--detach").strip()
                for _ in range(bench.size.crashed)]
    server = bench.start(project, "worker", "-q", "--config", "crash.toml")
    half = bench.size.crashed * 10 // 2
    wait_until(lambda: calls.read_bytes().count(b"\n") >= half, "half of the steps", pause=0.002)
    bench.end(server, signal.SIGKILL)
    # The calls that had begun and have no durable result. A call whose commit is pending counts, although its worker may
    # already have the next call.
    recorded = sum(event["event"] == "returned" for session in sessions
                   for event in json.loads(bench.run(project, "events", session, "--json")))
    in_flight = len(calls.read_text().split()) - recorded
    begun = time.monotonic()
    resumed = bench.start(project, "resume", "--config", "crash.toml")
    resumed.wait(SECONDS_MAX)
    seconds = time.monotonic() - begun
    bench.finish(resumed)
    made = calls.read_text().split()
    ended = json.loads(bench.run(project, "sessions", "--json"))
    if any(session["state"] != "finished" for session in ended) or len(set(made)) != bench.size.crashed * 10:
        raise Failed(f"{len(set(made))} steps were made, not {bench.size.crashed * 10}; or sessions are not finished")
    return seconds, len(made) - len(set(made)), in_flight


def resume(bench):
    """100,000 sessions that wait, resumed by `hark resume`"""
    crowd = bench.size.waiting
    project = crowd_of(bench, crowd)
    server = bench.start(project, "resume", "-q")
    wait_until(lambda: "[]" == bench.run(project, "sessions", "--state", "suspended", "--limit", "1", "--json").strip(),
               "all are taken", pause=0.1)
    # Give it time to sweep the sessions it has taken.
    time.sleep(2)
    seconds, memory = cpu_seconds(server.pid), in_status(server.pid, "VmHWM")
    bench.end(server, signal.SIGKILL)
    yield Figure(f"`hark resume` of {crowd:,} sessions that wait: CPU", "s", seconds, 2)
    yield Figure("the same: memory", "MB", memory / 1e6, 100)


def waiting(bench):
    """100,000 sessions that wait for a promise, and a process that serves them"""
    crowd = bench.size.waiting
    few, many = crowd_of(bench, 0), crowd_of(bench, crowd)
    with_few, with_many = (serve(bench, project, lambda server: (in_status(server.pid, "VmRSS"), in_status(server.pid, "VmHWM")))
                           for project in (few, many))
    note = f"{with_few[0] / 1e6:.1f} MB with none; at most {with_many[1] / 1e6:.1f} MB while it took them up"
    yield Figure("resident memory for each waiting session", "bytes", max(0, with_many[0] - with_few[0]) / crowd, 2000, 0)
    yield Figure(f"resident memory, {crowd:,} of them", "MB", with_many[0] / 1e6, 200, note=note)
    yield Figure("disk for each", "bytes", (on_disk(many) - on_disk(few)) / crowd, 2000)


def resolve(bench):
    """from the commit that resolves a promise to the end of the session that waited"""
    for count, title in ((bench.size.resolved, "from the commit that resolves to the session's end, p50"),
                         (bench.size.waiting, f"the same, {bench.size.waiting:,} sessions waiting")):
        latencies = serve(bench, project := crowd_of(bench, count), lambda _: resolve_some(bench, project))
        note = f"p99 {at(latencies, 0.99) / 1e3:.2f} ms"
        yield Figure(title, "ms", statistics.median(latencies) / 1e3, 2.0, 0.7, note=note)


def crowd_of(bench, count):
    """A folder with this many waiting sessions."""
    project = bench.project()
    subprocess.run([bench.waiting, project / ".hark", "start", str(count)], check=True, timeout=SECONDS_MAX)
    return project


def resolve_some(bench, project):
    """The sorted latencies, in microseconds."""
    command = [bench.waiting, project / ".hark", "resolve", str(bench.size.resolved)]
    lines = subprocess.run(command, check=True, timeout=SECONDS_MAX, stdout=subprocess.PIPE, text=True).stdout
    return sorted(int(line) for line in lines.split())


def serve(bench, project, measure):
    """The result of `measure` while a newly started worker serves the folder's sessions."""
    server = bench.start(project, "worker", "-q")
    wait_until(lambda: "[]" == bench.run(project, "sessions", "--state", "suspended", "--limit", "1", "--json").strip(),
               "the worker takes the sessions", pause=0.1)
    # Give it time to sweep the sessions it has taken.
    time.sleep(2)
    measured = measure(server)
    bench.end(server)
    return measured


def at(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def state(bench):
    """bytes written while 1 MB of state goes through 1,000 awaits"""
    size, awaits = bench.size.state_bytes, bench.size.awaits
    for step, title in (("async", "awaits of threads"), ("python", "Python calls")):
        for kind, what in (("numbers", "a list of floats"), ("texts", "a list of texts of 64 bytes"), ("text", "one text")):
            report = bench.bench(bench.project(), "state.hk", kind, str(size), step, str(awaits), sessions=1)
            note = f"in {report['seconds']:.1f} s, {report['commits']:,} commits"
            yield Figure(f"{size / 1e6:g} MB through {awaits:,} {title}, {what}", "MB", report["bytes_written"] / 1e6, 20, note=note)


def age(bench):
    """a session's 100,000th step against its 100th"""
    for step, title in (("async", "awaits of threads"), ("python", "Python calls")):
        project = bench.project()
        young, old = json.loads(bench.run(project, "run", "-q", "-s", "sqlite", "age.hk", step, str(bench.size.steps)))
        young, old = (statistics.median(times) * 10 for times in (young, old))
        note = f"{old:.3f} ms each against {young:.3f} ms"
        yield Figure(f"the {bench.size.steps:,}th step against the 100th, {title}", "x", old / young, 1.25, 1.1, note=note)


def crowd(bench):
    """a session's cost with 100,000 others in the file"""
    count = bench.size.waiting
    empty, crowded, full = bench.project(), crowd_of(bench, count), bench.project()
    bench.bench(full, "noop.hk", "7", sessions=count, at_a_time=32)
    for program, words, title in (("noop.hk", ["7"], "noop"), ("steps.hk", [], "10 Python steps")):
        samples = {project: [] for project in (empty, crowded, full)}
        # They take turns, so that other load on this computer affects all.
        for _ in range(3 * bench.runs):
            for project, times in samples.items():
                times.append(bench.bench(project, program, *words, sessions=bench.size.sessions // 4)["latency_p50_seconds"])
        alone = statistics.median(samples[empty])
        for project, state in ((crowded, "waiting"), (full, "finished")):
            among = statistics.median(samples[project])
            note = f"{among * 1e3:.3f} ms against {alone * 1e3:.3f} ms"
            yield Figure(f"{title}, p50, among {count:,} {state} ones against alone", "x", among / alone, 1.25, 1.1, note=note)


ROWS = [noop, noop_32, steps, steps_commits, steps_32, many_calls, threads, shared, limited, naps, any_left, waiters, output, resolve, crash, waiting, resume, cpu, state, age, crowd]
IN_PROCESSES = [noop, noop_32, steps, steps_32, threads, naps]


def figures(bench, row):
    """The figures of a row; those of `-c processes` have no targets."""
    yield from row(bench)
    for figure in row(bench, "processes") if row in IN_PROCESSES else ():
        yield replace(figure, title="  with -c processes", at_least=None, aim=None)


def disk(folder):
    """The milliseconds of a write of 4 KB with fdatasync in this folder, p50 and p99: no commit can be faster."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, 4096 * 500)
        for number in range(500):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 4096, 4096 * number)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times), at(sorted(times), 0.99)


def shown(number, unit):
    if number is None:
        return ""
    digits = 0 if abs(number) >= 100 or number == int(number) else 2
    return f"{number:,.{digits}f} {unit}".strip().replace(" /s", "/s")


def table(results):
    """The results as lines of text."""
    lines = [["", "Hark", "at least", "aim", "", ""]]
    for each in results:
        asked = [shown(number, each.unit) for number in (each.at_least, each.aim)]
        lines.append([each.title, shown(each.value, each.unit), *asked, each.verdict(), each.note])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        numbers = [cell.rjust(width) for cell, width in zip(line[1:4], widths[1:4])]
        yield "  ".join([line[0].ljust(widths[0]), *numbers, line[4].ljust(widths[4]), line[5]]).rstrip()


def built(hark, waiting, profile):
    """The binary, and the example that starts waiting sessions. Those not given are built, which may take a while."""
    for given in (hark, waiting):
        if given and not Path(given).exists():
            raise SystemExit(f"no binary at {given}")
    wanted = [] if hark else [["-p", "hark-cli"]]
    wanted += [] if waiting else [["-p", "hark-backends", "--features", "sqlite", "--example", "waiting"]]
    for what in wanted:
        subprocess.run(["cargo", "build", "--profile", profile, "--quiet", *what], cwd=FOLDER.parent, check=True)
    return Path(hark or TARGET / profile / "hark").resolve(), Path(waiting or TARGET / profile / "examples/waiting").resolve()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = {row.__name__: row for row in ROWS}
    parser.add_argument("--hark", help="the binary (default: it is built)")
    parser.add_argument("--waiting", help="the example of hark-backends that starts sessions (default: it is built)")
    parser.add_argument("--profile", default="release", help="the profile of the builds (default: release)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", default=list(names),
                        help="only these: " + "; ".join(f"{name} ({row.__doc__})" for name, row in names.items()))
    parser.add_argument("--runs", type=int, default=3, help="runs of each program (default: 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes and one run, to check that everything works")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(*built(asked.hark, asked.waiting, asked.profile), 1 if asked.quick else asked.runs, QUICK if asked.quick else Size())
    results, shows = [], sys.stderr.isatty()
    try:
        floor = disk(bench.folder)
        for name in asked.only:
            if shows:
                print(f"\r\033[K{names[name].__doc__} ...", end="", file=sys.stderr, flush=True)
            results += figures(bench, names[name])
        if asked.quick:
            results = [replace(figure, at_least=None, aim=None) for figure in results]
    except Failed as failure:
        raise SystemExit(f"{name}: {failure}")
    finally:
        bench.clean()
        if shows:
            print("\r\033[K", end="", file=sys.stderr)
    if asked.json:
        machine = {"cores": len(os.sched_getaffinity(0)), "fdatasync_p50_ms": floor[0], "fdatasync_p99_ms": floor[1]}
        print(json.dumps({**machine, "figures": [{**vars(each), "verdict": each.verdict()} for each in results]}, indent=2))
    else:
        print(f"{len(os.sched_getaffinity(0))} cores; 4 KB with fdatasync: {floor[0]:.2f} ms, {floor[1]:.2f} ms at p99\n")
        print("\n".join(table(results)))


if __name__ == "__main__":
    main()
