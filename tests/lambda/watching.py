#!/usr/bin/env python3
"""The views of an instance, in `ministack`: `hark invoke`, `info` and `logs`, commands on sessions that find the instance only by its
stack, and the JSON of `hark destroy`.

ministack starts a process for each invocation, and keeps no output of functions in its logs, only the lines that AWS writes around them. A function
that is changed loses its aliases but for the newest code's.
"""
import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

from deploy import Story, expect, free_port, served

SETTINGS = """
runtime = "bundled"
bundled_python = "py"
enable_api = true
schedules = [["rate(1 hour)", "greet_all"]]
managed_buckets = ["hark-test-photos"]
upload_triggers = [["hark-test-photos", "in/", ".jpg"]]
"""
MORE = """
fn on_http(method, path, event) { path }
fn on_upload(bucket, key) { key }
fn greet_all() { 1 }
#[memory(1024)] fn large() { 1 }
import(noise, src, 0);
fn noisy() { noise() }
"""
NOISE = """
import os

def noise():
    return os.urandom(200_000).hex()  # nothing that could be compressed
"""
CONTENTS = "hark-test-contents"
GROUP = "/aws/lambda/hark-shop"


class Logs:
    """Lines that a function would have written."""

    def __init__(self, services):
        self.services = services
        self.ask("CreateLogStream", logGroupName=GROUP, logStreamName="test")

    def ask(self, action, **call):
        return json.loads(self.services.ask("logs", target=f"Logs_20140328.{action}", body=call, version="1.1") or "{}")

    def write(self, text, age=0):
        event = {"timestamp": int((time.time() - age) * 1000), "message": text + "\n"}
        self.ask("PutLogEvents", logGroupName=GROUP, logStreamName="test", logEvents=[event])


def texts(done):
    return [json.loads(line)["text"] for line in done.stdout.splitlines()]


def tell_of_logs(story):
    logs = Logs(story.services)
    lines = [json.loads(line) for line in story.run("logs", "--json").stdout.splitlines()]
    expect("what AWS writes about an invocation is in the logs", {line["function"] for line in lines}, {"hark-shop"})
    expect("in the order of time", lines, sorted(lines, key=lambda line: line["time"]))
    expect("a line has its parts", sorted(lines[0]), ["function", "stream", "text", "time"])
    for text, age in [("old", 3_600), ("late", 5), ("\x1b[31mred", 0)]:
        logs.write(text, age)
    shown = story.run("logs", "--since", "2h").stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z hark-shop old", shown[0]), shown[0]
    red, = (line for line in shown if "red" in line)
    expect("control characters are shown as escapes", red.split(" ")[-1], "\\x1b[31mred")
    expect("older lines are left out", "old" in texts(story.run("logs", "--json")), False)
    other = story.run("logs", "--json", "--function", "hark-shop-m1024-t240").stdout
    expect("another function has written nothing", other, "")
    unknown = story.run("logs", "--function", "shop", status=2).stderr
    expect("an unknown function", unknown, "error: the instance has no function `shop`\n"
           "hint: its functions are: hark-shop, hark-shop-m1024-t240\n")
    follower = subprocess.Popen([story.hark, "logs", "-f", "--json", "--since", "30s"], cwd=story.folder, env=story.environment,
                                text=True, stdout=subprocess.PIPE)
    read = []

    def until(text):
        while text not in read:
            read.append(json.loads(follower.stdout.readline())["text"])
    until("\x1b[31mred")
    # One that arrives late, and one that is new.
    logs.write("delayed", 8)
    logs.write("new")
    until("new")
    until("delayed")
    logs.write("last")
    until("last")
    expect("a follower shows each line once, also a late one", [read.count(text) for text in ("late", "delayed", "new", "last")], [1] * 4)
    follower.send_signal(2)
    expect("Ctrl-C ends it", follower.wait(timeout=30), 130)


def tell(story):
    folder = story.folder
    story.run("init", "-q")
    with open(folder / "hark.toml", "a") as settings:
        settings.write(SETTINGS)
    with open(folder / "service.hk", "a") as program:
        program.write(MORE)
    with open(folder / "src/__init__.py", "a") as module:
        module.write(NOISE)
    settings = (folder / "hark.toml").read_text()
    assert '# bucket = "my-hark"' in settings
    (folder / "hark.toml").write_text(settings.replace('# bucket = "my-hark"', f'bucket = "{CONTENTS}"'))
    story.services.ask("s3", f"/{CONTENTS}", method="PUT")
    (folder / "py/bin").mkdir(parents=True)
    python = folder / "py/bin/python3"
    python.write_text('#!/bin/sh\nexec python3 "$@"\n')
    python.chmod(0o755)
    none = story.run("invoke", status=2).stderr
    expect("before it is deployed", "`hark deploy` deploys it" in none, True)
    none = story.run("invoke", "--uuid", "shop", status=1).stderr.splitlines()[0]
    expect("or elsewhere", none, "error: there is no instance `shop` in eu-west-1")
    told = story.run("deploy", "--uuid", "shop", "--yes").stdout.splitlines()
    expect("a deployment tells the address of the API", told[1].split("//")[0], "its HTTP API: http:")
    expect("and commands for this instance", told[2],
           "`hark invoke --uuid shop` starts a session in it, `hark info --uuid shop` shows what it consists of")

    done = story.run("invoke", "-q")
    expect("what `hark` prints here it prints there", (done.stdout, done.stderr), ("HELLO, WORLD!\nHELLO, HARK!\n", ""))
    expect("stdout", story.run("stdout", "--deployed", "--raw").stdout, "HELLO, WORLD!\n")
    events = [event["event"] for event in json.loads(story.run("events", "--deployed", "--json").stdout)]
    expect("events", (events.count("called"), events.count("returned"), events.count("finished")), (2, 2, 3))
    elsewhere = subprocess.run([story.hark, "sessions", "--uuid", "shop", "--json"], cwd="/", env=story.environment, text=True,
                               capture_output=True, check=True)
    expect("an instance has a name everywhere", len(json.loads(elsewhere.stdout)), 1)
    large = json.loads(story.run("invoke", "-f", "noisy", "--json").stdout)
    assert "<KeyCount>0</KeyCount>" not in story.services.ask("s3", f"/{CONTENTS}?list-type=2"), "the bucket is empty"
    elsewhere = subprocess.run([story.hark, "show", "--uuid", "shop", "--json", large["session"]], cwd="/", env=story.environment,
                               text=True, capture_output=True, check=True)
    expect("and its bucket of large contents is known there", json.loads(elsewhere.stdout)["result"] == large["result"], True)
    unknown = story.run("invoke", "-f", "mian", status=2).stderr
    expect("a mistake", unknown.splitlines()[0], "error: there is no function `mian` in service.hk")

    tell_of_logs(story)

    info = json.loads(story.run("info", "--json").stdout)
    first = info["code"]
    assert re.fullmatch(r"v1-[0-9a-f]{12}", first) and info["url"].startswith("http"), info
    expect("what an instance consists of",
           {name: info[name] for name in ("instance", "region", "account", "status", "earlier", "unfinished", "schedules", "buckets")},
           {"instance": "shop", "region": "eu-west-1", "account": "000000000000", "status": "CREATE_COMPLETE", "earlier": [],
            "unfinished": 0, "schedules": [{"expression": "rate(1 hour)", "function": "greet_all"}],
            "buckets": [{"name": "hark-test-photos", "triggers": [{"prefix": "in/", "suffix": ".jpg"}]}]}
           | {"status": info["status"]})
    expect("its functions", [(each["name"], each["memory"], each["timeout"], each["runtime"]) for each in info["functions"]],
           [("hark-shop", 512, 240, "provided.al2023"), ("hark-shop-m1024-t240", 1024, 240, "provided.al2023")])
    expect("its queues", sorted(each["name"] for each in info["queues"]), ["hark-shop-dead", "hark-shop-timers"])

    program = (folder / "service.hk").read_text().replace('"Hello, "', '"Good day, "').replace('"Hello, you!"', '"Good day, you!"')
    (folder / "service.hk").write_text(program)
    code = json.loads(story.run("deploy", "--yes", "--json").stdout)["code"]
    # ministack has lost the alias `current`.
    newest = {"HARK_INSTANCE": "shop", "HARK_CODE": code}
    expect("a second deployment is invoked", story.run("invoke", "-q", **newest).stdout, "GOOD DAY, WORLD!\nGOOD DAY, HARK!\n")
    text = story.run("info").stdout
    assert re.search(r"^code +v2-[0-9a-f]{12}", text, re.M), text
    assert "table     hark-shop: 0 unfinished sessions\n" in text, text
    assert "bucket    hark-test-photos: in/*.jpg call on_upload\n" in text, text
    assert "function  hark-shop: 512 MB, 240 s, provided.al2023\n" in text, text

    ended = json.loads(story.run("destroy", "--yes", "--json").stdout)
    expect("the end", ended, {"instance": "shop", "region": "eu-west-1", "kept_buckets": []})
    for command in ("invoke", "info", "logs", "sessions"):
        story.run(command, *(["--deployed"] if command == "sessions" else []), status=2)
    gone = json.loads(story.run("destroy", "--yes", "--uuid", "shop", "--json", status=1).stdout)
    expect("an instance that is not there", gone, {"error": "there is no instance `shop` in eu-west-1", "stack": None, "causes": []})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    given = parser.parse_args()
    port = free_port()
    # Functions have the variables of the server, and find the services by this one.
    server = served(port, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    try:
        with tempfile.TemporaryDirectory(prefix="hark-watching-") as folder:
            tell(Story(given.hark.resolve(), Path(folder).resolve(), port))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
