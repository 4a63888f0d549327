#!/usr/bin/env python3
"""Stands in for AWS Lambda, its queue and the table of an instance, for as long as a command runs:

    service.py --hark HARK --package FOLDER [OPTIONS] -- COMMAND...
    service.py --install

`Invoke` of both types, with the sizes that AWS allows, and `SendMessageBatch` of a queue whose messages are delayed and then
invoke the function. Each invocation runs in one of `--slots` emulators of AWS (`aws-lambda-rie`, installed with Go into target/tools if it is
not there), which start HARK as `bootstrap` in the package's folder. An emulator runs one invocation at a time. The command finds everything by
the variables of the AWS SDKs and HARK_INSTANCE. What was counted is printed at the end.

Faults, each at a share of the asynchronous invocations that a seed draws: `--drop` loses one, `--double` delivers it twice, `--kill` kills its
process after a random time, `--throttle` refuses it first. An invocation that fails is tried twice more, with the same id. The recovery
is invoked every `--recover` seconds.
"""
import argparse
import contextlib
import json
import os
import queue
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/dynamodb"))
import server as dynamodb  # noqa: E402

MODULE = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie"
VERSION = "v0.0.0-20261030222936-bef5c4ba774d"
INSTANCE = "test"
FUNCTION = f"hark-{INSTANCE}"
# What AWS allows. The emulator cuts off what is larger, without a word.
EVENT_BYTES_MAX, REQUEST_BYTES_MAX = 1 << 20, 6 << 20
RETRIES = 2
MESSAGES_MAX, DELAY_MAX = 10, 900
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


def installed():
    """The emulator, installed if need be."""
    program = dynamodb.TOOLS / "bin/aws-lambda-rie"
    if not program.exists():
        print(f"installing aws-lambda-rie into {dynamodb.TOOLS}", file=sys.stderr, flush=True)
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["go", "install", f"{MODULE}@{VERSION}"], check=True, env={**os.environ, "GOBIN": str(program.parent)})
    return program


def install():
    """Installs the emulator, where Go is."""
    if shutil.which("go") or (dynamodb.TOOLS / "bin/aws-lambda-rie").exists():
        installed()
    else:
        print("SKIPPED: aws-lambda-rie is not installed, because there is no Go")


def children(parent):
    """The processes that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(folder.name))
    return found


class Emulator:
    """A place for one invocation at a time. Its process begins with the first one, and may be killed."""

    def __init__(self, service):
        self.service, self.process, self.port = service, None, None
        self.lock = threading.Lock()

    def start(self):
        self.port, api = dynamodb.free_port(), dynamodb.free_port()
        command = [installed(), "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}",
                   "--runtime-api-address", f"127.0.0.1:{api}", *self.service.bootstrap]
        self.process = subprocess.Popen(command, cwd=self.service.package, env=self.service.variables(),
                                        stdout=self.service.log, stderr=subprocess.STDOUT)
        dynamodb.wait_for(self.port, self.process)

    def run(self, request_id, event):
        """The answer of the function, or None if it failed, was killed or took too long."""
        try:
            if self.process is None:
                self.start()
            url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
            request = urllib.request.Request(url, event, {"X-Amzn-RequestId": request_id})
            with urllib.request.urlopen(request, timeout=self.service.timeout + 10) as answer:
                answer = json.loads(answer.read())
        except (OSError, ValueError, urllib.error.HTTPError):
            self.kill()
            return None
        if isinstance(answer, dict) and "errorType" in answer:
            print(f"the function failed: {answer}", file=sys.stderr, flush=True)
            return None
        return answer

    def kill(self):
        with self.lock:
            process, self.process = self.process, None
            if process is None:
                return
            for child in children(process.pid):
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait()


class Service:
    def __init__(self, asked, hark, package, table, log):
        self.asked, self.package, self.table, self.log = asked, package, table, log
        self.timeout, self.random, self.counts = asked.timeout, random.Random(asked.seed), Counter()
        self.lock, self.is_over = threading.Lock(), False
        self.bootstrap = [str(hark), *asked.wrapped]
        self.pending, self.emulators = queue.Queue(), [Emulator(self) for _ in range(asked.slots)]
        self.free = queue.Queue()
        for emulator in self.emulators:
            self.free.put(emulator)
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                target = self.headers.get("x-amz-target", "")
                if target == "AmazonSQS.SendMessageBatch":
                    status, answer = service.send_messages(json.loads(body))
                elif self.path.startswith(f"/2015-03-31/functions/{FUNCTION}/invocations"):
                    status, answer = service.invoke(self.headers.get("x-amz-invocation-type", "RequestResponse"), body)
                else:
                    status, answer = 404, {"Message": f"not known here: {self.path} {target}"}
                text = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.http.server_address[1]}"
        self.start(self.http.serve_forever)
        for _ in self.emulators:
            self.start(self.run_events)
        if asked.recover:
            self.start(self.recover)

    @staticmethod
    def start(work):
        threading.Thread(target=work, daemon=True).start()

    def variables(self):
        """By which the function and the command find everything."""
        return {**dynamodb.environment(self.table), "AWS_ENDPOINT_URL_LAMBDA": f"http://{self.address}",
                "AWS_ENDPOINT_URL_SQS": f"http://{self.address}", "HARK_INSTANCE": INSTANCE, "HARK_CODE": "current",
                "HARK_TIMERS": f"http://{self.address}/timers", "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self.timeout),
                "LAMBDA_TASK_ROOT": str(self.package), "AWS_LAMBDA_FUNCTION_NAME": FUNCTION, "HARK_LAMBDA_SERVICE": self.address}

    def draws(self, share):
        with self.lock:
            return share > 0 and self.random.random() < share

    def count(self, *names):
        with self.lock:
            self.counts.update(names)

    def invoke(self, kind, event):
        if len(event) > (EVENT_BYTES_MAX if kind == "Event" else REQUEST_BYTES_MAX):
            return 413, {"Message": "request must be smaller", "Type": "User"}
        json.loads(event)
        if kind == "RequestResponse":
            emulator = self.free.get()
            try:
                self.count("invocations", "synchronous")
                return 200, emulator.run(str(uuid.uuid4()), event)
            finally:
                self.free.put(emulator)
        if self.draws(self.asked.throttle):
            self.count("throttled")
            return 429, {"Message": "Rate Exceeded.", "Type": "User", "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}
        if self.draws(self.asked.drop):
            self.count("dropped")
            return 202, None
        for _ in range(1 + self.draws(self.asked.double)):
            self.pending.put((str(uuid.uuid4()), event, 0))
        return 202, None

    def run_events(self):
        """Runs asynchronous invocations."""
        while not self.is_over:
            request_id, event, tries = self.pending.get()
            emulator = self.free.get()
            if self.is_over:
                return
            if self.draws(self.asked.kill):
                self.count("killed")
                with self.lock:
                    pause = self.random.random() * self.asked.kill_within
                threading.Timer(pause, emulator.kill).start()
            self.count("invocations", *(["recoveries"] if b'"recover"' in event else []))
            answer = emulator.run(request_id, event)
            self.free.put(emulator)
            if answer is None and not self.is_over:
                self.count("failed")
                if tries < RETRIES:
                    self.pending.put((request_id, event, tries + 1))

    def send_messages(self, batch):
        entries = batch["Entries"]
        if not 0 < len(entries) <= MESSAGES_MAX:
            return 400, {"__type": "com.amazonaws.sqs#TooManyEntriesInBatchRequest", "message": "1 to 10"}
        if not batch["QueueUrl"].endswith("/timers"):
            return 400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": batch["QueueUrl"]}
        for entry in entries:
            delay = entry["DelaySeconds"]
            if not (isinstance(delay, int) and 0 <= delay <= DELAY_MAX):
                return 400, {"__type": "com.amazonaws.sqs#InvalidParameterValue", "message": "DelaySeconds"}
            self.count("messages")
            message = {"Records": [{"messageId": str(uuid.uuid4()), "body": entry["MessageBody"], "eventSource": "aws:sqs"}]}
            put = (str(uuid.uuid4()), json.dumps(message).encode(), 0)
            timer = threading.Timer(delay, self.pending.put, [put])
            timer.daemon = True
            timer.start()
        return 200, {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}

    def recover(self):
        while not self.is_over:
            time.sleep(self.asked.recover)
            self.pending.put((str(uuid.uuid4()), b'{"hark": 1, "recover": true}', RETRIES))

    def end(self):
        self.is_over = True
        self.http.shutdown()
        for emulator in self.emulators:
            emulator.kill()


def options(parser):
    """The options of the stand-in."""
    parser.add_argument("--slots", type=int, default=4, help="how many invocations run at a time")
    parser.add_argument("--timeout", type=int, default=60, help="after how many seconds an invocation is stopped")
    parser.add_argument("--recover", type=float, default=2, help="every how many seconds the recovery is invoked; 0: never")
    parser.add_argument("--wrapped", type=shlex.split, default=[sys.executable, "-m", "unused"],
                        help="the command in whose place the function's program is started")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-within", type=float, default=0.3, help="seconds")
    parser.add_argument("--log", type=Path, help="where the functions' output goes")
    for fault in ("drop", "double", "kill", "throttle"):
        parser.add_argument(f"--{fault}", type=float, default=0, help="share of invocations")


@contextlib.contextmanager
def running(asked, hark, package):
    """An instance with a table: its stand-in."""
    installed()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, dynamodb.running() as table:
        # The program is the function's if this is its name.
        bootstrap = Path(folder, "bootstrap")
        shutil.copy(hark, bootstrap)
        with open(asked.log or Path(folder, "log"), "wb") as log:
            service = Service(asked, bootstrap, Path(package).resolve(), table, log)
            try:
                subprocess.run([hark, "storage", "init", "-s", "dynamodb"], env=service.variables(), check=True, cwd="/",
                               stdout=subprocess.DEVNULL)
                yield service
            finally:
                service.end()


def main():
    if sys.argv[1:] == ["--install"]:
        return install()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hark", type=Path, required=True)
    parser.add_argument("--package", type=Path, required=True, help="the folder of the function's package")
    options(parser)
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    with running(asked, asked.hark.resolve(), asked.package) as service:
        status = subprocess.run(asked.command, env=service.variables()).returncode
        print(json.dumps(dict(sorted(service.counts.items()))))
    raise SystemExit(status)


if __name__ == "__main__":
    main()
