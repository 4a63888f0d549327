#!/usr/bin/env python3
"""`hark run` for tests/conformance.py, where AWS Lambda functions run the session: starts it in the instance's table, leaves it to the
functions, waits for its end and prints its report, with the warnings about the program. HARK names the program `hark`.
"""
import json
import os
import subprocess
import sys
import time

PAUSE = 0.1


def main():
    hark, words = os.environ["HARK"], sys.argv[1:]
    place = ["-s", "dynamodb"]
    # Where it is the caller says, too, so that programs which need memory are left out.
    words = [word for word in words if word not in place]
    options, call = words[: words.index("--")], words[words.index("--"):]
    begun = subprocess.run([hark, *(word for word in options if word != "--json"), "--detach", *place, "-q", *call],
                           capture_output=True, text=True)
    if begun.returncode != 0:
        # A program that is rejected never begins.
        raise SystemExit(subprocess.run([hark, *options, *place, *call]).returncode)
    session = begun.stdout.strip()
    while True:
        shown = subprocess.run([hark, "show", session, "--json", *place], capture_output=True, text=True, check=True).stdout
        report = json.loads(shown)
        # Until it has ended it seems to be suspended whenever no function runs it.
        if report["ended"] is not None:
            # What the compiler had said when the session began is not in the table.
            checked = subprocess.run([hark, "check", "--json", options[1]], capture_output=True, text=True, check=True).stdout
            print(json.dumps({**report, "diagnostics": json.loads(checked)["diagnostics"]}))
            raise SystemExit(0 if report["status"] == "finished" else 1)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
