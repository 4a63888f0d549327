#!/usr/bin/env python3
"""A DynamoDB server for tests, while a command runs:

    server.py [--hark HARK] [--db-path FILE] [--proxy="OPTIONS OF proxy.py"] -- COMMAND...

The server is `dynoxide`, from target/tools, into which Cargo installs it if it is not there (some minutes of computing, once), or
the program that HARK_DYNAMODB_SERVER names, such as tests/dynamodb/ministack.py, started as `PROGRAM serve --port N`. It listens on a free port of 127.0.0.1. The command finds it by the variables that every AWS SDK knows, and its exit status is this
one's. With `--hark` the table of sessions is made before. With `--proxy` all requests pass through tests/dynamodb/proxy.py, and
what it counted is printed at the end.
"""
import argparse
import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
TOOLS = ROOT / "target/tools"
VERSION = "3.2.0"
SECONDS_MAX = 30


def installed():
    """The server's program, which is installed if it is missing."""
    if named := os.environ.get("HARK_DYNAMODB_SERVER"):
        return Path(named).resolve()
    program = TOOLS / "bin/dynoxide"
    if not program.exists():
        print(f"installing dynoxide {VERSION} into {TOOLS}", file=sys.stderr, flush=True)
        # Its own target folder: it is compiled with other settings than the workspace.
        subprocess.run(["cargo", "install", "dynoxide-rs", "--version", VERSION, "--locked", "--no-default-features",
                        "--features", "native-sqlite,http-server,cli", "--root", TOOLS, "--quiet"],
                       cwd=ROOT, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(TOOLS / "build")})
    return program


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process):
    """Waits until a server accepts connections."""
    begun = time.monotonic()
    while time.monotonic() - begun < SECONDS_MAX:
        if process.poll() is not None:
            raise SystemExit(f"the server on port {port} has ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"the server on port {port} does not answer")


@contextlib.contextmanager
def running(db_path=None, proxy=None):
    """A server, and a proxy before it if its options are given: the address that clients use."""
    port = free_port()
    kept = ["--db-path", str(db_path)] if db_path else []
    server = subprocess.Popen([installed(), "serve", "--port", str(port), *kept], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        address = f"127.0.0.1:{port}"
        with contextlib.nullcontext(address) if proxy is None else behind(address, proxy) as address:
            yield address
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def behind(address, options):
    """A proxy in front of a server: its address."""
    proxy = subprocess.Popen([sys.executable, FOLDER / "proxy.py", "--server", address, *options], stdout=subprocess.PIPE,
                             text=True)
    try:
        yield proxy.stdout.readline().split()[-1]
    finally:
        proxy.kill()
        proxy.wait()


def environment(address):
    """The variables by which a client finds the server. It checks no credentials, but an SDK wants some."""
    return {**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": f"http://{address}", "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def call(address, name, body):
    """The answer of a server to a call of DynamoDB's API."""
    head = {"x-amz-target": f"DynamoDB_20120810.{name}", "content-type": "application/x-amz-json-1.0",
            # The servers read it, but do not compare it with anything.
            "authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/dynamodb/aws4_request, "
                             "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0", "x-amz-date": "20260101T000000Z"}
    request = urllib.request.Request(f"http://{address}/", json.dumps(body).encode(), head)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def ask(address, path, method="GET"):
    """The counts of a proxy."""
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hark", type=Path)
    parser.add_argument("--db-path", type=Path)
    parser.add_argument("--proxy", type=shlex.split)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    with running(given.db_path, given.proxy) as address:
        variables = environment(address)
        if given.hark:
            subprocess.run([given.hark.resolve(), "storage", "init", "-s", "dynamodb"], env=variables, check=True, cwd="/")
        status = subprocess.run(given.command, env=variables).returncode
        if given.proxy is not None:
            print(json.dumps(ask(address, "/counts"), indent=2))
    raise SystemExit(status)


if __name__ == "__main__":
    main()
