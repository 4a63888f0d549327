#!/usr/bin/env python3
"""Large values in an S3 bucket beside a DynamoDB table: they come back complete, and nothing of them is left behind.

    bucket.py HARK

The bucket is one of `ministack`, behind a proxy that counts, injects faults, and tells when to kill the process that writes. The
table is where tests/dynamodb/server.py puts it.
"""
import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import s3_proxy
import server
from place import Place, Wrong, expect

BUCKET = "hark-test"
# The largest item of a table whose large contents are elsewhere, in base64.
ITEM_BYTES_MAX = 25_000
# A waiting session has at least this many objects.
OBJECTS_MIN = 30
# A process is killed after this many writes of objects.
DEATHS = [1, 7, 20, 40]
EXPECTED = [3_000_000, 2_000_000, True, "open"]


@contextlib.contextmanager
def s3_server():
    """A server of S3 with a bucket: its address."""
    port = server.free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, server.FOLDER / "ministack.py", "serve", "--port", str(port)], cwd=folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            server.wait_for(port, process)
            ask(f"127.0.0.1:{port}", f"/{BUCKET}", "PUT")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def ask(address, path, method="GET"):
    head = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", method=method, headers=head)) as answer:
        return answer.read().decode()


class Project(Place):
    """A project with a bucket, behind a proxy."""

    def __init__(self, hark, table, s3, name, proxy_address, more=f'bucket = "{BUCKET}"\n'):
        variables = {**server.environment(table), "AWS_ENDPOINT_URL_S3": f"http://{proxy_address}"}
        super().__init__(hark, "dynamodb", f"bucket-{name}", variables, table, "large", more)
        self.s3 = s3

    def objects(self):
        """The names of the objects of this project's sessions."""
        listed = ask(self.s3, f"/{BUCKET}?list-type=2&max-keys=10000&prefix={self.table}/")
        return re.findall(r"<Key>([^<]*)</Key>", listed)

    def largest(self):
        """The size of the largest item."""
        size = lambda value: len(next(iter(value.values()))) if isinstance(next(iter(value.values())), str) else 0
        return max(sum(map(size, item.values())) for item in self.items())

    def without_bucket(self):
        """From here on this project's settings name no bucket."""
        settings = self.folder / "hark.toml"
        settings.write_text(settings.read_text().replace(f'bucket = "{BUCKET}"\n', ""))

    def wait_at_the_door(self):
        id = self.begin("-f", "kept")
        with self.worker():
            self.until("it waits", lambda: self.json("promises", id))
        return id

    def end_is_right(self, id):
        self.run("resolve", f"{id}/door/1", '"open"')
        self.run("resume", id)
        expect(self.json("show", id)["result"] == EXPECTED, self.ask("show", id))

    def nothing_is_left(self):
        self.run("prune", "--older-than", "0s")
        left = [item for item in self.items() if not item["p"]["S"].startswith("program")]
        expect(left == [] and self.objects() == [], "left over", len(left), self.objects()[:3])


def checks(place, proxy):
    """`storage check` makes each call, and reports what is wrong."""
    expect(place.ask("storage", "check").count("Object") == 4, place.ask("storage", "check"))
    settings = place.folder / "hark.toml"
    settings.write_text(settings.read_text().replace(BUCKET, "no-such-bucket"))
    told = place.ask("storage", "check", status=1)
    expect(re.search("FAULT +bucket `no-such-bucket`: HeadBucket on bucket `no-such-bucket`: NoSuchBucket; .* make it", told), told)
    _, told = place.run("run", "program.hk", "-f", "whole", status=1)
    expect(b"PutObject on bucket `no-such-bucket`: NoSuchBucket" in told, told)
    settings.write_text(settings.read_text().replace("no-such-bucket", "No Bucket"))
    _, told = place.run("sessions", status=1)
    expect(b"`No Bucket` cannot be the name of a bucket" in told, told)


def values(place, proxy):
    """Large contents are in objects, which others find without a setting, and which are removed with their session."""
    id = place.wait_at_the_door()
    objects = place.objects()
    expect(len(objects) > OBJECTS_MIN and all(f"/{id}/" in name for name in objects), objects)
    expect(place.largest() < ITEM_BYTES_MAX, place.largest())
    place.without_bucket()
    place.end_is_right(id)
    place.nothing_is_left()


def moving(place, proxy):
    """A session moves into a file and back, over the remains that it left there."""
    id = place.wait_at_the_door()
    before = place.objects()
    for source, target in [("dynamodb", "sqlite"), ("sqlite", "dynamodb")]:
        file, _ = place.run("export", id, storage=source)
        (place.folder / "session.hark").write_bytes(file)
        place.run("import", "-y", "session.hark", storage=target)
    after = place.objects()
    expect(len(after) == len(before) and set(after).isdisjoint(before), len(before), len(after))
    expect(place.largest() < ITEM_BYTES_MAX, place.largest())
    place.end_is_right(id)
    place.nothing_is_left()


def faults(place, proxy):
    """Whatever the network does."""
    value = place.ask("run", "-q", "program.hk", "-f", "whole").strip()
    expect(value == "true" and proxy.faults > 10, value, proxy.faults, proxy.counts)
    place.nothing_is_left()


def deaths(place, proxy):
    """The process that writes objects is killed, and another one continues."""
    for count in DEATHS:
        proxy.counts.clear()
        run = place.start("run", "program.hk", "-f", "whole")
        proxy.on_put = lambda number, run=run, count=count: run.kill() if number == count else None
        run.communicate()
        proxy.on_put = None
        expect(run.returncode < 0, f"it has ended after {proxy.counts['PUT']} writes")
        id = place.json("sessions")[0]["session"]
        place.run("resume", id)
        expect(place.json("show", id)["result"] is True, place.ask("show", id))
    place.nothing_is_left()


def expiry(place, proxy):
    """When DynamoDB expires a session, its objects stay, and `prune` removes them once they are a day old."""
    place.wait_at_the_door()
    for item in place.items():
        if not item["p"]["S"].startswith("program"):
            server.call(place.direct, "DeleteItem", {"TableName": place.table, "Key": {name: item[name] for name in ("p", "r")}})
    before = place.objects()
    place.run("prune", "--older-than", "1h")
    expect(place.objects() == before != [], "they may be those of a session that begins", len(before), len(place.objects()))
    proxy.ages = True
    place.run("prune", "--older-than", "1h")
    expect(place.objects() == [], place.objects()[:3])


CHECKS = {checks: {}, values: {}, moving: {}, faults: {"rate": 0.2, "seed": 7}, deaths: {}, expiry: {}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    given = parser.parse_args()
    failed = 0
    with server.running() as table, s3_server() as s3:
        for check, options in CHECKS.items():
            with s3_proxy.before(s3, **options) as (proxy, address):
                place = Project(given.hark.resolve(), table, s3, check.__name__, address)
                try:
                    check(place, proxy)
                    expect(proxy.wrong == [], "not signed as it must be", proxy.wrong[:2])
                    print(f"{check.__name__}: right ({dict(proxy.counts)})", flush=True)
                except Wrong as wrong:
                    failed += 1
                    print(f"WRONG: {check.__name__}: {wrong}", flush=True)
                finally:
                    place.end()
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
