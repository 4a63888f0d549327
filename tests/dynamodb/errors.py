#!/usr/bin/env python3
"""Errors when DynamoDB cannot be used: they name the call, the table, the reason and a remedy.

    errors.py HARK
"""
import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import server

SECONDS_MAX = 120
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
# The name of AWS's error, and what is told beside it.
REFUSALS = {
    "ResourceNotFoundException": "`hark storage init` makes it",
    "AccessDeniedException": "`hark storage check` lists what is needed",
    "UnrecognizedClientException": "AWS does not accept the credentials",
    "InvalidSignatureException": "the clock of this machine is wrong",
    "ExpiredTokenException": "AWS does not accept the credentials",
    "ValidationException": "`hark storage check` says whether it is a table that Hark made",
    "ThrottlingException": "try it again later",
    "silence": "timed out",
    "page": "answers with status 404, and not as DynamoDB does",
}
# Variables without a server, and what is told.
LACKS = [
    ({"AWS_REGION": "eu-west-1"}, "no credentials were found for AWS"),
    (KEYS | {"AWS_REGION": "nowhere-1"}, "is the AWS region `nowhere-1` the right place"),
    (KEYS | {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"}, "is the endpoint `http://127.0.0.1:1` the right place"),
    (KEYS | {"AWS_REGION": "eu_west_1"}, "`eu_west_1` is not the name of an AWS region"),
    (KEYS | {"AWS_ENDPOINT_URL": "localhost:8000"}, "the endpoint `localhost:8000` is not the address of a server"),
    (KEYS | {"AWS_ENDPOINT_URL_DYNAMODB": "ftp://x"}, "the endpoint `ftp://x` is not the address of a server"),
    ({"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}, "no AWS region is set: set AWS_REGION, or `region`"),
]
CALLS = {"run": "BatchWriteItem on table `orders`", "sessions": "Query on table `orders`"}


def told(hark, words, variables):
    """What a command says of why it failed, in a project whose table is `orders`."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hark.toml").write_text('[project]\nstorage = "dynamodb"\n[storage.dynamodb]\ntable = "orders"\n')
        (Path(folder) / "x.hk").write_text("fn main() { 1 }\n")
        # Without this machine's AWS settings. The metadata address of virtual machines does not answer.
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "AWS_EC2_METADATA_DISABLED": "true", **variables}
        done = subprocess.run([hark, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    return done.returncode, done.stderr


def refused(hark, direct, name):
    with server.behind(direct, ["--refuse", name]) as address:
        variables = KEYS | {"AWS_ENDPOINT_URL_DYNAMODB": f"http://{address}"}
        return [(words, told(hark, words, variables), [CALLS[words[0]], REFUSALS[name], *([name] if name.endswith("n") else [])])
                for words in (["run", "x.hk"], ["sessions"])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    hark = parser.parse_args().hark.resolve()
    with server.running() as direct, ThreadPoolExecutor(8) as pool:
        ends = [end for ends in pool.map(lambda name: refused(hark, direct, name), REFUSALS) for end in ends]
        missing = lambda lack: (["sessions"], told(hark, ["sessions"], lack[0]), [lack[1]])
        ends += pool.map(missing, LACKS)
        # The table of a server that works.
        variables = KEYS | {"AWS_ENDPOINT_URL_DYNAMODB": f"http://{direct}"}
        ends.append((["show"], told(hark, ["show"], variables), [CALLS["sessions"], f"at the endpoint `http://{direct}`"]))
    wrong = [(words, status, text, expected) for words, (status, text), expected in ends
             if status != 1 or any(part not in text for part in expected) or ".;" in text or "panicked" in text]
    for words, status, text, expected in wrong:
        print(f"WRONG: {' '.join(words)} ends with {status} and says\n  {text}and not {expected}", file=sys.stderr)
    print(f"{len(ends) - len(wrong)} messages are right, {len(wrong)} wrong")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
