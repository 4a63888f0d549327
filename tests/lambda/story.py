#!/usr/bin/env python3
"""The whole story of a project on AWS Lambda, as its user lives it, with ministack for all services: made with `hark init`, deployed,
started by an event, an upload, an HTTP request and a schedule, looked at, deployed again, destroyed.

All calls to AWS pass through a proxy that records them (stand_in/recorder.py). The functions' role allows exactly the calls that the
functions made, except for those with a reason in access.py; so do the schedules' role and the permissions that the guide gives for deploying.
"""
import argparse
import http.client
import json
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

import access
from deploy import Services, environment, expect, free_port, served
from stand_in.recorder import Recorder
from stand_in.triggers import requested

SETTINGS = """
[instance]
runtime = "bundled"
bundled_python = "py"
managed_buckets = ["hark-test-uploads"]
upload_triggers = [["hark-test-uploads", "in/", ".txt"]]
enable_api = true
schedules = [["rate(1 hour)", "hourly"]]
[sessions]
lease = 3
[storage.dynamodb]
bucket = "hark-test-contents"
"""
PROGRAM = """
import(double, src.steps, 1);
import(large, src.steps, 1);
import(version, src.steps, 0);
fn on_upload(bucket, key) { bucket + "/" + key }
fn on_http(method, path, event) { {"asked": method + " " + path, "of": get(get(event, "queryStringParameters"), "of")} }
fn hourly() { "on time" }
fn leaf(n) { double(n) }
fn main(n) { print("begun"); text = large(n); sleep(1); [sum(map_async(range(n), leaf)), length(text)] }
fn waits() { [version(), await future("answer", "x"), version()] }
"""
STEPS = '''import os


def double(n):
    return n * 2


def large(n):
    return os.urandom(n * 10_000).hex()  # nothing that could be compressed


def version():
    return {version}
'''


class Story:
    def __init__(self, hark, folder, services, recorder, venv):
        self.hark, self.folder, self.services, self.recorder, self.venv = hark, folder, services, recorder, venv
        self.through_proxy = Services(recorder.own_port)
        # The functions have their account's number for a key.
        self.environment = {**environment(recorder.own_port), "AWS_ACCESS_KEY_ID": "DEPLOYER", "AWS_SECRET_ACCESS_KEY": "secret"}

    def run(self, *words, folder=None):
        done = subprocess.run([self.hark, *words], cwd=folder or self.folder, env=self.environment, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
        if done.returncode:
            raise SystemExit(f"hark {' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def on_sessions(self, *words):
        return self.run(words[0], "--deployed", *words[1:])

    def write(self, version):
        (self.folder / "service.hk").write_text(PROGRAM)
        (self.folder / "src").mkdir(exist_ok=True)
        (self.folder / "src/steps.py").write_text(STEPS.format(version=version))
        (self.folder / "hark.toml").write_text(SETTINGS)
        python = self.folder / "py/bin/python3"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text('#!/bin/sh\nexec python3 "$@"\n')
        python.chmod(0o755)

    def event(self, who, event):
        """The answer to a synchronous invocation."""
        path = "/2015-03-31/functions/hark-shop/invocations?Qualifier=current"
        return json.loads(self.through_proxy.ask("lambda", path, data=json.dumps(event).encode(), key=who))

    def schedule(self, name):
        return json.loads(self.services.ask("scheduler", f"/schedules/{name}"))["Target"]

    def mend_alias(self, code):
        """ministack replaces a function when it changes, and forgets the aliases that did not change."""
        version = self.services.aliases("hark-shop")[code]
        alias = json.dumps({"Name": "current", "FunctionVersion": version}).encode()
        self.services.ask("lambda", "/2015-03-31/functions/hark-shop/aliases", data=alias)

    def upload(self, key):
        self.services.ask("s3", f"/hark-test-uploads/{urllib.parse.quote(key)}", method="PUT", data=b"content")

    def request(self, url, target):
        """The status and the JSON of the answer of the HTTP API. ministack speaks the format 2.0 only, whatever the template says."""
        api, headers = url.split("//")[1].split(".")[0], http.client.HTTPMessage()
        answer = self.event("API", requested(api, "POST", target, headers, b"ordered"))
        return answer["statusCode"], json.loads(answer["body"])

    def wait(self, what, of, wanted):
        begun = time.monotonic()
        while (found := of()) != wanted and time.monotonic() - begun < 60:
            time.sleep(0.2)
        expect(what, found, wanted)

    def ended(self, function):
        """The results of the sessions of a function that have ended."""
        sessions = [each for each in json.loads(self.on_sessions("sessions", "--json")) if each["function"] == function]
        return [json.loads(self.on_sessions("show", each["session"], "--json"))["result"] for each in sessions if each["ended"]]


def tell(story):
    story.run("init", ".")
    story.write(version=1)
    story.services.ask("s3", "/hark-test-contents", method="PUT", data=b"")
    made = json.loads(story.run("deploy", "--uuid", "shop", "-y", "-q", "--json"))
    expect("`hark info` shows the instance", json.loads(story.run("info", "--json"))["url"], made["url"])

    report = json.loads(story.run("invoke", "--json", "--args", "[40]"))
    expect("a session runs in functions", report["result"], [1_560, 800_000])
    session = report["session"]
    expect("its output is there", story.on_sessions("stdout", session).split()[-1], "begun")
    expect("and its events", "finished" in story.on_sessions("events", session), True)
    expect("Lambda's log is there", "REPORT" in story.run("logs", "--since", "1h"), True)

    waiting = story.run("invoke", "--async", "-f", "waits").strip()
    story.wait("a session waits for somebody", lambda: "future `answer/x`" in story.on_sessions("show", waiting), True)
    story.on_sessions("resolve", f"{waiting}/answer/x", "7")
    story.wait("who gives it a value", lambda: story.ended("waits"), [[1, 7, 1]])

    story.write(version=2)
    again = json.loads(story.run("deploy", "-y", "-q", "--json"))
    expect("the project is deployed again", again["code"] != made["code"], True)
    expect("and again, without changes", json.loads(story.run("deploy", "-y", "-q", "--json"))["changed"], 0)
    story.mend_alias(again["code"])
    expect("with other code", json.loads(story.run("invoke", "--json", "-f", "version"))["result"], 2)

    story.upload("in/a.txt")
    story.upload("elsewhere/a.txt")
    story.wait("an upload starts a session", lambda: story.ended("on_upload"), ["hark-test-uploads/in/a.txt"])
    status, answer = story.request(made["url"], "/orders/7?of=a%20b")
    expect("an HTTP request is answered", (status, answer), (200, {"asked": "POST /orders/7", "of": "a b"}))
    target = story.schedule("hark-shop-schedule-0")
    expect("a schedule names the function", target["Arn"].split("function:")[1], "hark-shop:current")
    expect("and what it starts", story.event("SCHEDULE", json.loads(target["Input"].replace("<aws.scheduler.scheduled-time>", "2026-01-01T00:00:00Z")))["result"], "on time")

    ended = story.run("destroy", "-y")
    # On AWS the bucket with data stays: rollback.py tests that.
    expect("the instance is gone", ended, "the instance `shop` is gone\n")
    services = story.services
    left = (services.stack("hark-shop"), services.tables(), services.queues(), services.functions(), services.buckets())
    expect("and nothing is left", left, ("400", [], [], {}, ["hark-test-contents"]))

    template = json.loads(story.run("deploy", "--dry-run", "-q", "--uuid", "shop"))
    registry = next(story.venv.glob("lib/python3*/site-packages/cfnlint/data/schemas"))
    access.check(template, story.recorder.calls, registry)
    expect("all calls were understood", story.recorder.unknown, set())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--venv", type=Path, required=True, help="where cfn-lint is, which has CloudFormation's registry")
    parser.add_argument("--log", type=Path, help="where the output of the services goes")
    given = parser.parse_args()
    port = free_port()
    recorder = Recorder(port)
    log = given.log and given.log.open("wb")
    server = served(port, log, AWS_ENDPOINT_URL=f"http://127.0.0.1:{recorder.own_port}")
    try:
        with tempfile.TemporaryDirectory(prefix="hark-story-") as folder:
            tell(Story(given.hark.resolve(), Path(folder).resolve(), Services(port), recorder, given.venv))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
