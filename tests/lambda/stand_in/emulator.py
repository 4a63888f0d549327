"""Emulators of AWS's runtime (`aws-lambda-rie`), each for one invocation at a time of one version of a function, and the pool of them."""
import contextlib
import itertools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/dynamodb"))
import server as dynamodb  # noqa: E402

MODULE = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie"
VERSION = "v0.0.0-20261030222936-bef5c4ba774d"
TASK = "/var/task"
NUMBERS = itertools.count(1)
# Lambda's names for the processors whose programs can be started here.
MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}
STARTED = {MACHINES[platform.machine()]}
# Environment variables that functions need here, beside those of Lambda.
NEEDED = {}


def installed():
    """The emulator, which is installed if it is missing."""
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
    for thread in Path(f"/proc/{parent}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found


def told(error):
    """What the emulator says of a process that has ended. If that has said why it could not begin, Lambda passes that on, with status 200."""
    with contextlib.suppress(ValueError):
        answer = json.loads(error.read())
        if isinstance(answer, dict) and "errorType" in answer:
            return answer
    return {"errorType": "Sandbox.Ended", "errorMessage": str(error)}


class Emulator:
    """Its process begins with the first invocation, and may be killed. Its key tells the services who calls them."""

    def __init__(self, version, variables, log):
        self.version, self.variables, self.log = version, variables, log
        self.process, self.port, self.key, self.chain = None, None, f"FUNCTION{next(NUMBERS)}", None
        self.lock = threading.Lock()

    def command(self):
        """The command with which Lambda starts the program of a function."""
        properties, folder = self.version.properties, str(self.version.folder)
        if not STARTED.issuperset(properties["Architectures"]):
            raise ValueError(f"the function is for {properties['Architectures']}")
        if properties["Runtime"].startswith("provided"):
            return [f"{folder}/bootstrap"], properties["Handler"]
        wrapper = properties["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"].replace(TASK, folder)
        return [wrapper, sys.executable, "-m", "unused"], properties["Handler"]

    def start(self):
        self.port, api = dynamodb.free_port(), dynamodb.free_port()
        command, handler = self.command()
        properties, folder = self.version.properties, str(self.version.folder)
        own = {name: value.replace(TASK, folder) for name, value in properties["Environment"]["Variables"].items()}
        told = {"AWS_LAMBDA_FUNCTION_NAME": properties["FunctionName"], "AWS_LAMBDA_FUNCTION_VERSION": str(self.version.number),
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties["MemorySize"]), "_HANDLER": handler,
                "AWS_LAMBDA_FUNCTION_TIMEOUT": str(properties["Timeout"]), "LAMBDA_TASK_ROOT": folder,
                "AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": "secret", "PATH": os.environ["PATH"],
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"), "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [installed(), "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}",
             "--runtime-api-address", f"127.0.0.1:{api}", *command],
            cwd=folder, env={**NEEDED, **self.variables, **own, **told}, stdout=self.log, stderr=subprocess.STDOUT)
        dynamodb.wait_for(self.port, self.process)

    def run(self, request_id, event, chain):
        """The answer of the function, and whether it is an error."""
        self.chain = chain
        try:
            if self.process is None:
                self.start()
            self.signal(signal.SIGCONT)
            url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
            request = urllib.request.Request(url, event, {"X-Amzn-RequestId": request_id})
            with urllib.request.urlopen(request, timeout=self.version.properties["Timeout"] + 10) as answer:
                answer = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            self.kill()
            return told(error), True
        except (OSError, ValueError, SystemExit) as error:
            # It was killed, perhaps before it had begun, or took too long: then the emulator answers with a text.
            self.kill()
            return {"errorType": "Sandbox.Ended", "errorMessage": str(error)}, True
        finally:
            self.chain = None
        self.signal(signal.SIGSTOP)
        return answer, isinstance(answer, dict) and "errorType" in answer

    def signal(self, number):
        """Lambda freezes a function between its invocations. Here only `hark` is: frozen Python processes would outlive it."""
        with self.lock, contextlib.suppress(OSError):
            for process in children(self.process.pid) if self.process else ():
                os.kill(process, number)

    def kill(self):
        with self.lock:
            process, self.process = self.process, None
            if process is None:
                return
            with contextlib.suppress(OSError):
                for child in children(process.pid):
                    os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait()


class Pool:
    """A limited number of emulators. An idle one makes room for another version of a function."""

    def __init__(self, slots, make):
        self.slots, self.make = slots, make
        self.all, self.idle, self.has_changed = [], [], threading.Condition()

    @contextlib.contextmanager
    def taken(self, version):
        with self.has_changed:
            while not self.idle and len(self.all) == self.slots:
                self.has_changed.wait()
            emulator = next((each for each in reversed(self.idle) if each.version is version), None)
            if emulator is not None:
                self.idle.remove(emulator)
            else:
                if len(self.all) == self.slots:
                    evicted = self.idle.pop(0)
                    self.all.remove(evicted)
                    evicted.kill()
                emulator = self.make(version)
                self.all.append(emulator)
        try:
            yield emulator
        finally:
            with self.has_changed:
                self.idle.append(emulator)
                self.has_changed.notify()

    def caller(self, key):
        """The emulator that has this key."""
        with self.has_changed:
            return next((each for each in self.all if each.key == key), None)

    def end(self):
        for emulator in list(self.all):
            emulator.kill()
