#!/usr/bin/env python3
"""Verifies in a real AWS account what the other tests verify with emulators:

    account.py HARK [--uuid NAME] [--only STEP] [--without STEP] [--keep]

It deploys the project in `account` as a separate instance into the account and region that the environment selects (AWS_PROFILE,
AWS_REGION), runs it, and destroys it. It takes about ten minutes and costs a few cents: about 3,000 invocations of a second at 512 MB
($0.03), 20,000 writes to a table ($0.02), and requests to S3, SQS and an HTTP API for less than a cent. The machine must have
everything that `hark deploy` needs.
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parent / "account"
SETTINGS = """
[instance]
managed_buckets = ["{bucket}"]
upload_triggers = [["{bucket}", "in/", ""]]
enable_api = true
schedules = [["rate(1 minute)", "each_minute"]]
{more}
[sessions]
lease = 10
"""


class Account:
    def __init__(self, hark, folder, name, more):
        self.hark, self.folder, self.name, self.bucket = hark, folder, name, f"hark-{name}-uploads"
        shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
        (folder / "hark.toml").write_text(SETTINGS.format(bucket=self.bucket, more=more))

    def run(self, *words):
        done = subprocess.run([self.hark, *words], cwd=self.folder, text=True, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise AssertionError(f"hark {' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def deploy(self):
        return json.loads(self.run("deploy", "--uuid", self.name, "-y", "--json"))

    def call(self, function, *arguments):
        """Starts a session. Returns its result, and how long it took as seen from here."""
        begun = time.monotonic()
        report = json.loads(self.run("invoke", "--json", "-f", function, "--args", json.dumps(arguments)))
        return report["result"], time.monotonic() - begun

    def results(self, function):
        """Of the sessions of a function that have ended."""
        sessions = [each for each in json.loads(self.run("sessions", "--deployed", "--json")) if each["function"] == function]
        return [json.loads(self.run("show", "--deployed", "--json", each["session"]))["result"] for each in sessions if each["ended"]]

    def until(self, of, wanted, seconds_max=150):
        begun = time.monotonic()
        while (found := of()) != wanted and time.monotonic() - begun < seconds_max:
            time.sleep(1)
        equal(found, wanted)


def equal(found, wanted):
    assert found == wanted, f"{found!r}, not {wanted!r}"


def step_steps(account):
    """Ten Python calls, twice: from nothing, and when the function is warm."""
    for _ in range(2):
        result, took = account.call("main", 10)
        equal(result, 110)
        print(f"   {took:.2f} s")


def step_table(account):
    """`hark storage check` finds no fault in the table."""
    found = json.loads(account.run("storage", "check", "--deployed", "--json"))
    equal([each for each in found if each["fault"]], [])


def step_chain(account):
    """200 awaits in a row."""
    equal(account.call("chain", 200)[0], 200)


def step_fan_out(account):
    """1,000 threads."""
    result, took = account.call("fan_out", 1_000)
    equal(result, sum(n * 2 + 1 for n in range(1_000)))
    print(f"   {took:.2f} s")


def step_sleep(account):
    """A sleep takes up to two seconds longer than it says."""
    _, took = account.call("nap", 5)
    assert 5 <= took < 9, took


def step_recursion(account):
    """A chain of 40 invocations is not ended: AWS ends others after 16."""
    equal(account.call("naps", 40)[0], "rested")


def step_memory(account):
    """A call that needs more memory is made by another function."""
    equal(account.call("memory")[0], 1024)


def step_killed(account):
    """A function that is killed loses nothing."""
    equal(account.call("killed", account.bucket, "mark")[0], "alive")


def step_upload(account):
    """An upload starts one session."""
    account.call("put", account.bucket, "in/a b+\u00e4.txt")
    account.until(lambda: account.results("on_upload"), ["in/a b+\u00e4.txt"])


def step_http(account):
    """An HTTP request is answered."""
    url = json.loads(account.run("info", "--json"))["url"]
    with urllib.request.urlopen(f"{url}/orders/7") as answer:
        equal(json.load(answer), {"asked": "GET /orders/7"})


def step_schedule(account):
    """A schedule starts sessions."""
    account.until(lambda: account.results("each_minute")[:1], ["on time"])


def step_deployments(account):
    """A session continues after another deployment."""
    session = account.run("invoke", "--async", "-f", "waits").strip()
    account.until(lambda: "answer/x" in account.run("show", "--deployed", session), True)
    steps = account.folder / "src/steps.py"
    steps.write_text(steps.read_text().replace("return 1", "return 2"))
    account.deploy()
    account.run("resolve", "--deployed", f"{session}/answer/x", "7")
    account.until(lambda: [result[:2] for result in account.results("waits")], [[1, 7]])
    equal(account.call("version")[0], 2)


def step_logs(account):
    """The functions' logs can be read."""
    account.until(lambda: "REPORT" in account.run("logs", "--since", "1h"), True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--uuid", default=f"check-{int(time.time())}", help="the name of the instance")
    parser.add_argument("--only", action="append", help="a step")
    parser.add_argument("--without", action="append", default=[], help="a step")
    parser.add_argument("--settings", default="", help="more lines for `[instance]`")
    parser.add_argument("--keep", action="store_true", help="do not destroy the instance")
    given = parser.parse_args()
    steps = {name.removeprefix("step_"): step for name, step in globals().items() if name.startswith("step_")}
    failed = []
    with tempfile.TemporaryDirectory(prefix="hark-account-") as folder:
        account = Account(given.hark.resolve(), Path(folder), given.uuid, given.settings)
        print(f"the instance `{given.uuid}`: {account.deploy()}", flush=True)
        try:
            for name, step in steps.items():
                if name in given.without or given.only and name not in given.only:
                    continue
                try:
                    step(account)
                    print(f"ok  {name}: {step.__doc__}", flush=True)
                except (AssertionError, OSError) as error:
                    print(f"FAILED  {name}: {step.__doc__}\n{error}", flush=True)
                    failed.append(name)
        finally:
            if not given.keep:
                print(account.run("destroy", "-y"), end="")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
