#!/usr/bin/env python3
"""The commands on an instance's sessions, in the stand-in for AWS Lambda (service.py): `hark invoke`, and those that take `--deployed`.

    commands.py HARK [--only NAME]

All checks share one instance. Each is a function below.
"""
import argparse
import json
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import service
from instance import asked, equal

PROGRAM = """
import(enter, steps, 0);
fn main(name) { print("hello"); sleep(1); print(name); "bye" }
fn types(a, b) { [a, b] }
fn asks() { print("asking"); await future("answer", "x") }
fn fragile() { print("trying"); enter(); print("entered"); "done" }
fn guarded() { try { await future("never", "comes") } catch e { print("cleaned up"); 1 } }
"""
PYTHON = """
import os

def enter():
    if not os.path.exists({door!r}):
        raise ValueError("the door is shut")
"""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Story:
    """A project, the instance that it is deployed as, and its commands."""

    def __init__(self, hark, folder, stand_in):
        self.hark, self.folder, self.service = hark, folder, stand_in

    def start(self, *words, **more):
        return subprocess.Popen([self.hark, *words], cwd=self.folder, env={**self.service.variables(), **more}, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words, status=0, given="", **more):
        started = self.start(*words, **more)
        out, error = started.communicate(given, timeout=120)
        if started.returncode != status:
            raise AssertionError(f"hark {' '.join(words)}: exit status {started.returncode}, not {status}\n{out}{error}")
        return out, error

    def json(self, *words, **more):
        return json.loads(self.run(*words, "--json", **more)[0])

    def until(self, holds, seconds_max=60):
        end = time.monotonic() + seconds_max
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"not after {seconds_max} s: {self.run('sessions', '--deployed')}")
            time.sleep(0.1)

    def sessions(self):
        return {each["session"]: each for each in self.json("sessions", "--deployed")}

    def is_asked(self, count=1):
        return len(self.run("promises", "-q", "--deployed")[0].splitlines()) == count


def check_invoke(story):
    """A session is shown as by `hark run`, in one invocation, with its output as it appears."""
    before = dict(story.service.counts)
    started = story.start("invoke", "ada")
    equal(started.stdout.readline(), "hello\n")
    begun = time.monotonic()
    out, error = started.communicate()
    equal(out, "ada\nbye\n")
    assert time.monotonic() - begun > 0.2, "all came at once"
    assert re.fullmatch(rf"session {ID.pattern}\n-- \d+\.\d+ s\n", error), error
    counts = story.service.counts
    equal(counts["synchronous"] - before.get("synchronous", 0), 1)
    session, = story.sessions().values()
    equal((session["key"], session["function"]), (None, "main"))
    report = story.json("invoke", "-f", "types", "--args", '["a", {"b": [1.5, null]}]')
    equal((report["status"], report["result"], report["diagnostics"]), ("finished", ["a", {"b": [1.5, None]}], []))
    equal(story.run("invoke", "-q", "-f", "types", "-5", "b c"), ('["-5", "b c"]\n', ""))
    equal(story.run("invoke", "-q", "-f", "types", "--args", "-", given="[1, 2]"), ("[1, 2]\n", ""))


def check_mistakes(story):
    """A session that cannot be started is an error with a reason and a remedy, and nothing starts."""
    before = set(story.sessions())
    for words, expected in [
        (["-f", "mian"], "error: there is no function `mian` in service.hk\nhint: did you mean `main`?"),
        ([], "error: `main(name)` takes 1 argument, but 0 were given"),
        (["--args", "{}"], "error: `--args` needs a JSON list"),
        (["--args", "[123456789012345678901234567890]"], "error: an argument contains a number that cannot be passed to an AWS Lambda invocation"),
        (["--args", "[NaN]"], "error: an argument contains a number that"),
        (["--uuid", "Shop"], "error: `Shop` cannot be the name of an instance"),
    ]:
        out, error = story.run("invoke", *words, status=2)
        assert not out and error.startswith(expected), error
    report = json.loads(story.run("invoke", "-f", "mian", "--json", status=2)[0])
    equal((report["session"], report["status"], report["diagnostics"][0]["message"]),
          (None, "rejected", "there is no function `mian` in service.hk"))
    _, error = story.run("invoke", "--args", "-", status=2, given=json.dumps(["x" * (6 << 20)]))
    assert "takes at most 6 MB" in error and "pass the object's key" in error, error
    for words in (["run", "service.hk", "x"], ["run", "service.hk", "-f", "mian", "1"], ["bench", "service.hk"]):
        _, error = story.run(*words, "-s", "lambda", status=2)
        assert error.startswith("error: the functions of an instance run their own copy of the project"), error
        assert "`hark invoke` starts a session there" in error, error
    for words, command in [
        (["worker", "--deployed"], "hark resume -s lambda"),
        (["worker", "--uuid", "test"], "hark resume --uuid test"),
        (["storage", "init", "--deployed"], "hark deploy"),
        (["cancel", "--uuid", "test", "x"], "hark sessions --uuid test"),
    ]:
        _, error = story.run(*words, status=2)
        assert f"`{command}`" in error, error
    story.run("sessions", "-s", "sqlite", "--uuid", "shop", status=2)
    equal(set(story.sessions()), before)


def check_refusals(story):
    """Calls that Lambda refuses, and answers that are lost: a session is started once, or the error names the obstacle."""
    functions = story.service.functions
    invoke = functions.invoke

    def after(*answers):
        """Lambda gives these answers first. None means a lost answer, of an invocation that was run."""
        left = list(answers)

        def answer(arn, kind, event, caller=None):
            if kind != "RequestResponse" or not left:
                return invoke(arn, kind, event, caller)
            first = left.pop(0)
            if first is None:
                invoke(arn, kind, event, caller)
                return 500, {"__type": "ServiceException", "Message": "it is lost"}
            return first
        functions.invoke = answer

    def started(*words, **more):
        before = set(story.sessions())
        told = story.run("invoke", *words, **more)
        return len(set(story.sessions()) - before), told

    throttled = 429, {"Reason": "ConcurrentInvocationLimitExceeded", "message": "Rate Exceeded."}
    try:
        after(None)
        equal(started("-q", "-f", "types", "1", "2"), (1, ('["1", "2"]\n', "")))
        after(None, None)
        assert started("--async", "ada")[0] == 1
        after(throttled, throttled)
        equal(started("-q", "-f", "types", "1", "2"), (1, ('["1", "2"]\n', "")))
        for answer, hint in [
            ((403, {"__type": "AccessDeniedException", "Message": "no"}), "lambda:InvokeFunction"),
            ((404, {"__type": "ResourceNotFoundException", "Message": "no"}), "`hark deploy` creates the instance"),
            ((413, {"__type": "RequestEntityTooLargeException", "Message": "no"}), "at most 6 MB"),
            ((200, {"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}), "`hark logs` shows"),
        ]:
            after(answer)
            begun, (out, error) = started("ada", status=2 if answer[0] == 413 else 1)
            assert begun == 0 and not out and "error: " in error and hint in error, (begun, error)
    finally:
        functions.invoke = invoke


def check_lost_invocation(story):
    """An invocation dies after it has started the session: the command follows the session all the same."""
    functions = story.service.functions
    invoke = functions.invoke

    def dies(arn, kind, event, caller=None):
        functions.invoke = invoke
        begun = json.loads(event) | {"wait": False}
        invoke(arn, kind, json.dumps(begun).encode(), caller)
        return 200, {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 240.00 seconds"}
    functions.invoke = dies
    out, error = story.run("invoke", "-f", "types", "1", "2")
    equal(out, '["1", "2"]\n')
    # Either the answer was first, or the session was found before.
    assert ID.search(error), error


def check_interrupted(story):
    """Ctrl-C while nobody knows yet whether the invocation begins a session: how to find out is said, and works."""
    functions = story.service.functions
    invoke, sent, goes_on = functions.invoke, threading.Event(), threading.Event()

    def late(*call):
        sent.set()
        goes_on.wait(60)
        return invoke(*call)
    functions.invoke = late
    try:
        for words, find in ([], ["sessions", "--since", "5m", "-s", "lambda"]), (["--key", "slow"], ["show", "slow", "-s", "lambda"]):
            sent.clear(), goes_on.clear()
            before = set(story.sessions())
            started = story.start("invoke", "-f", "types", "1", "2", *words)
            assert sent.wait(60)
            started.send_signal(2)
            out, error = started.communicate(timeout=60)
            equal((started.returncode, out, error), (130, "", "\nthe invocation has been sent: it may have started the session, or start it yet; "
                                                     f"`hark {' '.join(find)}` shows whether it has\n"))
            goes_on.set()
            story.until(lambda: set(story.sessions()) - before)
            id, = set(story.sessions()) - before
            assert id in story.run(*find)[0] or id[:8] in story.run(*find)[0], story.run(*find)
    finally:
        goes_on.set()
        functions.invoke = invoke


def check_keys(story):
    """A key starts one session, and is that session's name."""
    equal(story.run("invoke", "-q", "--key", "order-1", "-f", "types", "1", "2")[0], '["1", "2"]\n')
    first, = (each for each in story.sessions().values() if each["key"] == "order-1")
    equal(story.json("invoke", "--key", "order-1", "-f", "types", "1", "2")["session"], first["session"])
    _, error = story.run("invoke", "--key", "order-1", "-f", "types", "1", "3", status=2)
    assert 'the key `order-1` belongs to a session that was started with `types("1", "2")`' in error, error
    assert "`hark show order-1 -s lambda`" in error, error
    equal(story.json("show", "--deployed", "order-1")["session"], first["session"])


def check_waiting(story):
    """A session that waits is followed; a value from outside wakes it."""
    started = story.start("invoke", "-f", "asks")
    equal(started.stdout.readline(), "asking\n")
    story.until(story.is_asked)
    promise = story.run("promises", "-q", "--deployed")[0].strip()
    equal([each["key"] for each in story.json("promises", "--deployed")], [None])
    equal(story.run("resolve", "--deployed", promise, "42")[0], "")
    out, _ = started.communicate(timeout=60)
    equal((out, started.returncode), ("42\n", 0))
    # Ctrl-C ends only the command.
    started = story.start("invoke", "-f", "asks")
    equal(started.stdout.readline(), "asking\n")
    started.send_signal(2)
    _, error = started.communicate(timeout=60)
    id = ID.search(error)[0]
    equal(started.returncode, 130)
    assert f"`hark stdout --follow {id} -s lambda` prints its output" in error, error
    story.until(story.is_asked)
    equal(story.run("fail", "--deployed", f"{id}/answer/x", "nobody knows")[0], "")
    story.until(lambda: story.sessions()[id]["state"] == "broken")


def check_async(story):
    """With `--async` the id is printed at once, and other commands see the session."""
    id = story.run("invoke", "--async", "ada")[0].strip()
    assert ID.fullmatch(id), id
    equal(story.run("stdout", "--deployed", "--raw", "--follow", id)[0], "hello\nada\n")
    story.until(lambda: story.sessions()[id]["state"] == "finished")
    equal(story.json("show", "--deployed", id)["result"], "bye")
    assert "finished with" in story.run("events", "--deployed", id)[0]
    assert "main(" in story.run("timeline", "--deployed", id)[0]
    equal(list(story.json("invoke", "--async", "ada")), ["session"])


def check_retry(story):
    """A broken session ends with 1 and names the command that retries it; the functions run a retry, and only new output is shown."""
    out, error = story.run("invoke", "-f", "fragile", status=1)
    equal(out, "trying\n")
    id = ID.search(error)[0]
    assert "the door is shut" in error and f"broken; `hark retry {id} -s lambda` continues" in error, error
    (story.folder / "door").write_text("")
    before = story.service.counts["invocations"]
    out, error = story.run("retry", "--deployed", id)
    equal(out, "entered\ndone\n")
    assert f"session {id} finished" in error, error
    assert story.service.counts["invocations"] > before, "it was not run by a function"
    _, error = story.run("retry", "--deployed", id, status=2)
    assert "only a broken session can be retried" in error, error


def check_cancel(story):
    """The functions run the cleanup of a cancelled session."""
    id = story.run("invoke", "--async", "-f", "guarded")[0].strip()
    story.until(story.is_asked)
    equal(story.run("cancel", "--deployed", id)[0], f"cancelled {id}\n")
    equal(story.run("stdout", "--deployed", "--raw", id)[0], "cleaned up\n")


def check_resume(story):
    """A session whose invocation was lost is woken."""
    send = story.service.functions.send
    story.service.functions.send = lambda version, event, chain: (202, None)
    id = story.run("invoke", "--async", "-f", "types", "1", "2")[0].strip()
    story.service.functions.send = send
    time.sleep(3.5)  # The lease of the first thread.
    before = story.service.counts["invocations"]
    out, error = story.run("resume", "--deployed", id)
    equal(out, '["1", "2"]\n')
    assert f"session {id} finished" in error and story.service.counts["invocations"] > before, error
    _, error = story.run("resume", "--deployed", id, status=2)
    assert "only a suspended session can be resumed" in error, error
    equal(story.run("resume", "--deployed")[0], "no sessions to resume in the table `hark-test`\n")


def check_moving(story):
    """A session that waits can be moved out of an instance and into it."""
    id = story.run("invoke", "--async", "-f", "asks")[0].strip()
    story.until(story.is_asked)
    with open(story.folder / "moved", "wb") as file:
        subprocess.run([story.hark, "export", "--deployed", id], cwd=story.folder, env=story.service.variables(), stdout=file, check=True)
    equal(story.json("show", "--deployed", id)["status"], "moved")
    story.run("prune", "--deployed", "--older-than", "0s")
    story.run("import", "--deployed", "--yes", "moved")
    equal(story.run("resolve", "--deployed", f"{id}/answer/x", '"moved"')[0], "")
    story.until(lambda: story.sessions()[id]["state"] == "finished")
    equal(story.json("show", "--deployed", id)["result"], "moved")
    checked = [each for each in json.loads(story.run("storage", "check", "--deployed", "--json")[0]) if each["fault"]]
    equal(checked, [])


def check_prune(story):
    """Finished sessions are pruned; settings name the instance as well as options do."""
    (story.folder / "lambda.toml").write_text('[project]\nstorage = "lambda"\n')
    kept = ["--config", "lambda.toml"]
    assert len(json.loads(story.run("sessions", "--json", *kept)[0])) == len(story.sessions()) > 0
    story.run("prune", "--older-than", "0s", *kept)
    equal(story.sessions(), {})
    _, error = story.run("show", status=2, *kept)
    equal(error, "error: there are no sessions in the table `hark-test`\nhint: `hark invoke --config lambda.toml` starts one\n")
    _, error = story.run("run", "--config", "lambda.toml", "service.hk", "x", status=2)
    assert "`hark invoke --config lambda.toml` starts a session there, as `storage` in hark.toml says; `-s memory` runs it here" in error, error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--only", action="append")
    given = parser.parse_args()
    checks = {name.removeprefix("check_"): check for name, check in globals().items() if name.startswith("check_")}
    with tempfile.TemporaryDirectory(prefix="hark-commands-") as folder:
        folder = Path(folder).resolve()
        (folder / "service.hk").write_text(PROGRAM)
        (folder / "hark.toml").write_text("[sessions]\nlease = 3\n")
        (folder / "src").mkdir()
        (folder / "src/steps.py").write_text(PYTHON.format(door=str(folder / "door")))
        with service.running(asked(recover=0), given.hark.resolve(), folder) as stand_in:
            story = Story(given.hark.resolve(), folder, stand_in)
            for name, check in checks.items():
                if given.only is None or name in given.only:
                    begun = time.monotonic()
                    check(story)
                    print(f"{name}: {check.__doc__} {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    main()
