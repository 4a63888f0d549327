#!/usr/bin/env python3
"""Uploads, HTTP requests and schedules start sessions in AWS Lambda functions, in the stand-in of tests/lambda/service.py:

    triggers.py HARK [--only NAME]
"""
import argparse
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from instance import Instance, equal


API = "enable_api = true"


def request(instance, path, body=None):
    """The status, content type and body of the response to a request."""
    sent = urllib.request.Request(f"http://{instance.service.address.api}{path}", body)
    try:
        with urllib.request.urlopen(sent) as answer:
            return answer.status, answer.headers.get("content-type"), answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get("content-type"), answer.read().decode()


def results(instance):
    """Of all sessions, sorted, when they have ended."""
    return sorted(instance.report(session["session"])["result"] for session in instance.sessions())


def check_uploads(hark):
    """Each upload starts one session, even if its notification is delivered twice."""
    settings = 'managed_buckets = ["photos"]\nupload_triggers = [["photos", "in/", ""]]'
    with Instance(hark, settings, recover=0) as instance:
        buckets, done = instance.service.buckets, lambda: (instance.counts["invocations"], instance.service.functions.pending.qsize())
        equal(buckets.upload("photos", "in/a b\u00e4+.jpg", times=2), [202, 202])
        instance.until(lambda: done() == (2, 0))
        buckets.upload("photos", "in/c")
        buckets.upload("photos", "in/c")
        buckets.upload("photos", "out/c")
        instance.until(lambda: done() == (4, 0) and len(instance.sessions()) == 3)
        equal(results(instance), ["photos/in/a b\u00e4+.jpg", "photos/in/c", "photos/in/c"])
        equal(instance.counts["failed"], 0)


def check_schedules(hark):
    """A schedule that invokes twice for the same time starts one session."""
    with Instance(hark, 'schedules = [["rate(1 hour)", "nightly"]]', recover=0) as instance:
        for time_ in ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"):
            instance.service.schedules["hark-test-schedule-0"].fire(time_)
        instance.until(lambda: instance.counts["invocations"] == 3 and len(instance.sessions()) == 2)
        equal(results(instance), [1, 1])


def check_http(hark):
    """The result is the response."""
    with Instance(hark, API, recover=0) as instance:
        text, other = "text/plain; charset=utf-8", "application/json"
        equal(request(instance, "/text"), (200, text, "hello"))
        for body, decoded in (b"name=\xc3\xa4", "name=\u00e4"), (b"\xff", "/w=="):
            status, kind, told = request(instance, "/json", body)
            equal((status, kind, json.loads(told)), (200, other, {"method": "POST", "body": decoded}))
        equal(request(instance, "/list"), (200, other, "[1, null]"))
        equal(request(instance, "/nothing"), (204, None, ""))
        equal(request(instance, "/python"), (200, other, "42"))
        equal(request(instance, "/own"), (201, other, '{"made": 1}'))
        equal(instance.counts["invocations"], 7)
        for path in ("/fails", "/wrong", "/header", "/infinite", "/large"):
            status, kind, told = request(instance, path)
            equal((status, kind, sorted(json.loads(told))), (500, other, ["error", "session"]))
            assert "secret" not in told, told
        # Others run a part of it, or all that follows.
        equal(request(instance, "/others"), (200, other, str(sum(n * 2 + 1 for n in range(40)))))
        equal(request(instance, "/sleep"), (200, text, "rested"))
        begun = time.monotonic()
        equal(request(instance, "/first"), (200, text, "sent"))
        assert time.monotonic() - begun < 20, "a response does not wait for the threads that the function has started"
        equal(instance.counts["failed"], 0)


def check_http_unfinished(hark):
    """A request is answered before its function ends, and the session continues."""
    with Instance(hark, API, recover=0, timeout=8) as instance:
        status, kind, told = request(instance, "/asks")
        equal((status, kind), (202, "application/json"))
        session = json.loads(told)["session"]
        instance.command("resolve", f"{session}/answer/x", "42")
        equal(instance.report(session)["result"], 42)
        equal(instance.counts["failed"], 0)


def check_http_slow_call(hark):
    """A call that takes longer than a client waits is not disturbed. (The emulator passes the response on only then.)"""
    with Instance(hark, API, recover=0) as instance:
        status, _, told = request(instance, "/hang")
        equal(status, 202)
        equal(instance.report(json.loads(told)["session"])["result"], "late")
        equal((instance.counts["invocations"], instance.counts["failed"]), (1, 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--only", action="append")
    given = parser.parse_args()
    checks = {name.removeprefix("check_"): each for name, each in globals().items() if name.startswith("check_")}
    for name, each in checks.items():
        if given.only is None or name in given.only:
            begun = time.monotonic()
            each(given.hark.resolve())
            print(f"{name}: {each.__doc__} {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
