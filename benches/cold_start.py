#!/usr/bin/env python3
"""Measures how long AWS Lambda functions take to begin, and prints the table of docs/guide/lambda.md.

    cold_start.py [--hark PATH] [--rounds N] [--write | --check]

Four functions are started again and again, in turn, each in a new process of AWS's emulator of the runtime (`aws-lambda-rie`): one in Rust
that does nothing, a program of Hark, a Python function in AWS's own runtime client (`awslambdaric`), and a program of Hark that calls
that same Python function first thing. Each answers with the time at which its first instruction ran. The time counts from the
event: the emulator starts a function when its first event comes. The DynamoDB table is an emulator too, on this computer.

The shortest times are compared: on a computer that does other things besides, they say most about the programs. `--check` fails if
they are above the limits, and `--write` puts the table into the guide. Needs Go for the emulator, unless it is in target/tools already.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
PACKAGE = FOLDER / "cold_start"
sys.path.insert(0, str(ROOT / "tests/lambda"))
from service import FUNCTION, INSTANCE, MEMORY  # noqa: E402
from stand_in.emulator import children, dynamodb, installed  # noqa: E402

GUIDE = ROOT / "docs/guide/lambda.md"
BEGIN, END = "<!-- made by benches/cold_start.py -->\n", "<!-- end of that -->\n"
RUNTIME_CLIENT = "awslambdaric==4.2.2"
# Limits in milliseconds: the delay of the first instruction compared with the other function, and the start.
BEYOND_RUST, BEYOND_PYTHON, INIT_MAX = 25, 50, 100
SECONDS_MAX = 60


@dataclass
class Function:
    """A function, and its times in milliseconds."""

    name: str
    command: list
    event: dict
    first: list = field(default_factory=list)
    init: list = field(default_factory=list)
    answered: list = field(default_factory=list)


@contextlib.contextmanager
def emulator(command, variables, log):
    """The address of an emulator that starts this command when an event comes."""
    port, api = dynamodb.free_port(), dynamodb.free_port()
    process = subprocess.Popen(
        [installed(), "--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{api}", *command],
        cwd=PACKAGE, env=variables, stdout=log, stderr=subprocess.STDOUT)
    try:
        dynamodb.wait_for(port, process)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        for child in children(process.pid):
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()


def begin(function, variables):
    """Starts a function for an event, and notes when it was where. Nothing that an earlier process has kept in files is there, as at AWS."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, tempfile.TemporaryFile() as log:
        own = {"TMPDIR": folder, "HOME": "/nonexistent", "XDG_CACHE_HOME": ""}
        with emulator(function.command, {**variables, **own}, log) as address:
            request = urllib.request.Request(address, json.dumps(function.event).encode(), {"X-Amzn-RequestId": str(uuid.uuid4())})
            begun = time.time()
            with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
                answer = json.loads(answer.read())
            ended = time.time()
        log.seek(0)
        said = log.read().decode()
    at = answer.get("result") if isinstance(answer, dict) else answer
    if not isinstance(at, float):
        raise SystemExit(f"{function.name}: {answer}\n{said}")
    function.first.append((at - begun) * 1_000)
    function.answered.append((ended - begun) * 1_000)
    function.init.append(float(re.search(r"INIT REPORT\(durationMs: ([\d.]+)\)", said)[1]))


def trivial(folder):
    """The function that does nothing."""
    program = folder / "trivial"
    subprocess.run(["rustc", "--edition", "2024", "-O", "-o", program, PACKAGE / "trivial.rs"], check=True)
    return [str(program)]


def python():
    """A Python with AWS's own client of the runtime."""
    interpreter = ROOT / "target/cold-start-venv/bin/python"
    if not interpreter.exists():
        subprocess.run([sys.executable, "-m", "venv", interpreter.parent.parent], check=True)
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet", RUNTIME_CLIENT], check=True)
    return str(interpreter)


def measured(hark, rounds):
    """Measures the functions."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, dynamodb.running() as table:
        folder = Path(folder)
        bootstrap = folder / "bootstrap"
        shutil.copy(hark, bootstrap)
        interpreter = python()
        variables = {**dynamodb.environment(table), "HARK_INSTANCE": INSTANCE, "LAMBDA_TASK_ROOT": str(PACKAGE),
                     "AWS_LAMBDA_FUNCTION_NAME": FUNCTION, "PYTHONPATH": str(PACKAGE)}
        subprocess.run([hark, "storage", "init", "-s", "dynamodb"], env=variables, check=True, cwd="/", stdout=subprocess.DEVNULL)
        handler = [interpreter, "-m", "awslambdaric", "src.clocks.handler"]
        started = [str(bootstrap), *handler]
        functions = [Function("nothing, in Rust", trivial(folder), {}), Function("Hark", started, {"function": "main"}),
                     Function("Python", handler, {}), Function("Hark, calling Python", started, {"function": "python"})]
        # The first round reads the files into memory, and stores the program in the table.
        for number in range(rounds + 1):
            for function in functions:
                begin(function, variables)
        for function in functions:
            for times in (function.first, function.init, function.answered):
                del times[0]
        return functions


def shown(times):
    return f"{min(times):.0f} ({statistics.median(times):.0f})"


def table(functions):
    rust, hark, plain, called = (min(function.first) for function in functions)
    lines = ["| function | beginning | until its first instruction | until its answer |", "|---|---|---|---|"]
    lines += [f"| {function.name} | {shown(function.init)} | {shown(function.first)} | {shown(function.answered)} |"
              for function in functions]
    lines += ["", f"So the first instruction of Hark runs {hark - rust:.0f} ms after that of a function that does nothing ({hark / rust:.1f} "
              f"times its time), and the first Python function {called - plain:.0f} ms after that of Python's own runtime ({called / plain:.1f} times)."]
    return "\n".join(lines) + "\n"


def check(functions):
    """The times above their limits."""
    rust, hark, plain, called = (min(function.first) for function in functions)
    init = min(functions[1].init)
    found = [("the first instruction of Hark", hark - rust, BEYOND_RUST),
             ("the first call of Python", called - plain, BEYOND_PYTHON), ("the beginning without Python", init, INIT_MAX)]
    return [f"{what} takes {took:.0f} ms, and may take {most}" for what, took, most in found if took >= most]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hark", type=Path, default=ROOT / "target/release/hark")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    installed()
    functions = measured(given.hark.resolve(), given.rounds)
    made = table(functions)
    print(made, end="")
    if given.write:
        before, rest = GUIDE.read_text().split(BEGIN)
        GUIDE.write_text(before + BEGIN + made + END + rest.split(END)[1])
    if given.check and (wrong := check(functions)):
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
