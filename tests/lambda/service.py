#!/usr/bin/env python3
"""Stands in for AWS Lambda, the services that invoke functions, and the table of an instance, while a command runs:

    service.py --hark HARK [--project FOLDER] [--files FOLDER] [OPTIONS] -- COMMAND...
    service.py --install

The resources are those of the template that `hark deploy --dry-run` prints for the project: functions with their sizes, variables,
aliases and dead letters, queues with their pollers, schedules, buckets whose uploads invoke functions, and an HTTP API (stand_in/).
The functions run the package that would be uploaded, and the files of `--files`. Each invocation runs in one of `--slots` emulators
(AWS's `aws-lambda-rie`, installed with Go into target/tools if it is missing). Calls that a function's role does not allow are
refused, except those to the table. The command finds everything by the variables of the AWS SDKs and HARK_INSTANCE. The counts are
printed at the end.

Faults, each in a share of the asynchronous invocations that a seed chooses: `--drop` loses one, `--double` delivers it twice, `--kill` kills its
process after a random time, `--throttle` refuses it first. An invocation that fails is tried twice more, with the same id; then it is a
dead letter. A minute of the schedules lasts `--recover` seconds.
"""
import argparse
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import zipfile
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stand_in.emulator import Emulator, Pool, dynamodb, install, installed  # noqa: E402
from stand_in.functions import Functions  # noqa: E402
from stand_in.policies import Refused, Role  # noqa: E402
from stand_in.queues import Mapping, Queue, Queues  # noqa: E402
from stand_in.template import NAMED, REGION, Address, Template, without  # noqa: E402
from stand_in.triggers import Api, Buckets, Schedule, front  # noqa: E402

INSTANCE = "test"
FUNCTION = f"hark-{INSTANCE}"
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
FAULTS = ("drop", "double", "kill", "throttle")
# A session that is started in the instance's table by the command needs no program of the functions.
EMPTY = {"hark.toml": "", "service.hk": "fn main() { 1 }\n"}


class Service:
    """`edit` changes a template before it is used."""

    def __init__(self, asked, hark, table, log, edit=lambda template: None):
        self.asked, self.hark, self.table, self.log, self.edit = asked, hark, table, log, edit
        self.random, self.counts, self.failures, self.broken = random.Random(asked.seed), Counter(), [], []
        self.lock, self.is_over, self.templates = threading.Lock(), False, []
        servers = [ThreadingHTTPServer(("127.0.0.1", 0), front(handle)) for handle in (self.call, self.request)]
        self.servers, self.address = servers, Address(*(f"127.0.0.1:{server.server_address[1]}" for server in servers))
        self.functions = Functions(self, Pool(asked.slots, lambda version: Emulator(version, self.network(), log)))
        self.queues, self.api = Queues(), None
        for server in servers:
            self.start(server.serve_forever)

    def start(self, work, *arguments):
        threading.Thread(target=self.guarded, args=(work, *arguments), daemon=True).start()

    def guarded(self, work, *arguments):
        """Remembers failures of the stand-in itself, so that tests do not wait for events that never come."""
        try:
            work(*arguments)
        except Exception as error:
            if not self.is_over:
                self.broken.append(error)
                raise

    def deploy(self, project, folder):
        """Creates the resources of a project's template; of a second template, only its functions. Their files are unpacked into the folder."""
        printed = subprocess.run([self.hark, "deploy", "--dry-run", "-q", "--uuid", INSTANCE], cwd=project, check=True,
                                 stdout=subprocess.PIPE, env={**os.environ, **self.network()}).stdout
        source = json.loads(printed)
        self.edit(source)
        without(source)
        template = Template(source, self.address, self.functions.version_of)
        unpack(project / ".hark/deploy/package.zip", folder)
        # Adds the program itself, because packing it would take a second. `--packed` packs it.
        if not self.asked.packed:
            (folder / "bootstrap").unlink()
            (folder / "bootstrap").symlink_to(self.hark)
        (folder / "bootstrap").chmod(0o755)
        self.functions.deploy(template, folder)
        if not self.templates:
            self.make(template)
        self.templates.append(template)

    def make(self, template):
        self.roles = {NAMED["AWS::IAM::Role"][1] + each["RoleName"]: Role(each) for each in template.of("IAM::Role").values()}
        for properties in template.of("SQS::Queue").values():
            arn = NAMED["AWS::SQS::Queue"][1] + properties["QueueName"]
            self.queues[arn] = Queue(arn, properties, self.asked.hurry)
        for _ in range(self.asked.slots):
            self.start(self.functions.run_pending)
        for mapping in template.of("Lambda::EventSourceMapping").values():
            self.start(Mapping(self, mapping).poll)
        self.schedules = {each["Name"]: Schedule(self, each) for each in template.of("Scheduler::Schedule").values()}
        for schedule in self.schedules.values():
            if self.asked.recover:
                self.start(schedule.run, self.asked.recover)
        self.buckets = Buckets(self, template.of("S3::Bucket").values(), template.of("Lambda::Permission").values())
        if template.of("ApiGatewayV2::Api"):
            self.api = Api(self, template)

    def network(self):
        """The environment variables by which a function finds the services."""
        address = f"http://{self.address.services}"
        return {"AWS_ENDPOINT_URL_LAMBDA": address, "AWS_ENDPOINT_URL_SQS": address, "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL_DYNAMODB": f"http://{self.table}", "PYTHONDONTWRITEBYTECODE": "1"}

    def variables(self):
        """The environment variables by which a command finds everything."""
        return {**dynamodb.environment(self.table), **self.network(), "HARK_INSTANCE": INSTANCE, "HARK_CODE": "current",
                "HARK_TIMERS": self.address.queue(f"{FUNCTION}-timers")}

    def draws(self, fault):
        """Whether a fault happens now."""
        share = getattr(self.asked, fault)
        return share > 0 and self.drawn(1) < share

    def drawn(self, most):
        with self.lock:
            return self.random.random() * most

    def count(self, *names):
        with self.lock:
            self.counts.update(names)

    def call(self, _, path, headers, body):
        """A call of Lambda or SQS."""
        key = re.search(r"Credential=(\w+)/", headers.get("authorization", ""))
        caller = self.functions.pool.caller(key[1]) if key else None
        if caller and caller.chain is None:
            # The caller is frozen.
            self.count("stray")
        try:
            status, answer = self.answer(path, headers, body, caller)
        except Refused as error:
            print(f"not allowed: {error}", file=sys.stderr, flush=True)
            self.count("refused")
            status, answer = 403, {"__type": "AccessDeniedException", "Message": f"not authorized to perform {error}"}
        has_failed = status == 200 and isinstance(answer, dict) and "errorType" in answer
        headers = {"X-Amz-Function-Error": "Unhandled"} if has_failed else {}
        return status, headers, json.dumps(answer).encode() if answer is not None else b""

    def answer(self, path, headers, body, caller):
        invoked = re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations(?:\?Qualifier=(.+))?", urllib.parse.unquote(path))
        if invoked:
            arn = f"{NAMED['AWS::Lambda::Function'][1]}{invoked[1]}" + (f":{invoked[2]}" if invoked[2] else "")
            return self.functions.invoke(arn, headers.get("x-amz-invocation-type", "RequestResponse"), body, caller)
        if headers.get("x-amz-target") == "AmazonSQS.SendMessageBatch":
            return self.send_messages(json.loads(body), caller)
        return 404, {"Message": f"not known here: {path} {headers.get('x-amz-target')}"}

    def send_messages(self, call, caller):
        return self.queues.send_batch(call, caller, self)

    def request(self, *request):
        """A request of the HTTP API."""
        return self.api.handle(*request) if self.api else (404, {}, b'{"message":"Not Found"}')

    def end(self):
        self.is_over = True
        for server in self.servers:
            server.shutdown()
        for _ in range(self.asked.slots):
            self.functions.pending.put(None)
        self.functions.pool.end()


def unpack(package, folder):
    with zipfile.ZipFile(package) as opened:
        for file in opened.infolist():
            os.chmod(opened.extract(file, folder), file.external_attr >> 16)


def options(parser):
    """The options of the stand-in."""
    parser.add_argument("--slots", type=int, default=4, help="how many invocations run at a time")
    parser.add_argument("--timeout", type=int, help="after how many seconds an invocation is stopped, instead of what the template says")
    parser.add_argument("--recover", type=float, default=2, help="how many seconds a minute of the schedules lasts; 0: they do not run")
    parser.add_argument("--hurry", type=float, default=1, help="by how much less time messages are hidden")
    parser.add_argument("--packed", action="store_true", help="run the program in the package, not HARK itself")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-within", type=float, default=0.3, help="seconds")
    parser.add_argument("--log", type=Path, help="where the functions' output goes")
    for fault in FAULTS:
        parser.add_argument(f"--{fault}", type=float, default=0, help="share of invocations")


def with_timeout(template, seconds):
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Timeout"] = seconds


@contextlib.contextmanager
def running(asked, hark, project=None, files=None, instance="", edit=lambda template: None, table=dynamodb.running):
    """An instance of a project with a table: its stand-in. `instance` is added to the section `[instance]` of its settings. `table` starts
    the server of the table, and is its address."""
    installed()

    def edited(template):
        if asked.timeout:
            with_timeout(template, asked.timeout)
        edit(template)

    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, table() as table:
        folder = Path(folder)
        copied(project, folder / "project", instance, asked.packed)
        with open(asked.log or folder / "log", "wb") as log:
            service = Service(asked, hark.resolve(), table, log, edited)
            try:
                service.deploy(folder / "project", folder / "task")
                if files:
                    shutil.copytree(files, folder / "task", dirs_exist_ok=True)
                service.folder = folder
                subprocess.run([hark, "storage", "init", "-s", "dynamodb"], env=service.variables(), check=True, cwd="/",
                               stdout=subprocess.DEVNULL)
                yield service
            finally:
                service.end()


def copied(project, folder, instance="", is_packed=False):
    """A copy of a project, whose package has no program in it unless it `is_packed`."""
    if project:
        shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".hark"), dirs_exist_ok=True)
    else:
        folder.mkdir(exist_ok=True)
        for name, text in EMPTY.items():
            (folder / name).write_text(text)
    if not is_packed:
        (folder / "no-program").write_text("it is put in its place later\n")
        instance += '\nhark_binary = "no-program"\n'
    with open(folder / "hark.toml", "a") as settings:
        settings.write(f"\n[instance]\n{instance}\n")


def main():
    if sys.argv[1:] == ["--install"]:
        return install()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hark", type=Path, required=True)
    parser.add_argument("--project", type=Path, help="the project; none: one that starts nothing itself")
    parser.add_argument("--files", type=Path, help="a folder with more files of the functions")
    options(parser)
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    with running(asked, asked.hark.resolve(), asked.project, asked.files) as service:
        status = subprocess.run(asked.command, env=service.variables()).returncode
        print(json.dumps(dict(sorted(service.counts.items()))))
    raise SystemExit(status)


if __name__ == "__main__":
    main()
