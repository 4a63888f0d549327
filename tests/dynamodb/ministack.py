#!/usr/bin/env python3
"""Starts `ministack`, a second implementation of DynamoDB's API, as dynoxide is started: `ministack.py serve --port N`.

With HARK_DYNAMODB_SERVER=tests/dynamodb/ministack.py all tests that start a server use it. It is installed into a virtual
environment under target/ if it is not there.
"""
import argparse
import fcntl
import os
import subprocess
import sys
from pathlib import Path

VERSION = "1.5.0"
VENV = Path(__file__).resolve().parent.parent.parent / "target/ministack-venv"


def installed():
    """The server's program, which is installed if it is missing."""
    program = VENV / "bin/ministack"
    VENV.mkdir(parents=True, exist_ok=True)
    # Several tests may start it at once.
    with (VENV / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True, stdout=sys.stderr)
            subprocess.run([VENV / "bin/python", "-m", "pip", "install", "--quiet", f"ministack=={VERSION}"], check=True,
                           stdout=sys.stderr)
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["install", "serve"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--log", help="is ignored")
    given = parser.parse_args()
    program = installed()
    if given.command == "serve":
        # Its port can only be set by a variable.
        os.environ |= {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(given.port)}
        os.execv(program, [program])


if __name__ == "__main__":
    main()
