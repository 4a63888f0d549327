#!/usr/bin/env python3
"""All commands on sessions, with sessions in a DynamoDB table and, to compare, in a SQLite file.

    commands.py HARK [--only NAME,...] [--jobs N]

Each check is a function below. It is run on both storages, with a project of its own; what the commands print must be the
same, but for ids and times, and what the check itself expects must hold. All requests to the table pass through a proxy
that counts them: none of them may be a `Scan`.
"""
import argparse
import base64
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import server
from place import ID, SECONDS_MAX, Place, Wrong, expect, without_storage


def looking(place):
    """`sessions`, `show`, `stdout`, `events`, `timeline`."""
    place.say("run", "-q", "program.hk", "-f", "noop", "3", "--tag", "customer=acme")
    place.say("run", "program.hk", "-f", "tree", "6")
    ids = place.ask("sessions", "-q").split()
    place.say("sessions")
    for filters in (["--state", "finished"], ["--state", "broken"], ["-f", "noop"], ["--tag", "customer=acme"], ["--argument", "6"],
                    ["--since", "1h"], ["--older-than", "1h"], ["--limit", "1"]):
        place.say("sessions", *filters)
    place.say("show", ids[1])
    place.say("show", ids[1][:16], status=0)
    place.say("stdout", ids[1])
    place.say("events", "-u", ids[1])
    place.say("events", ids[1])
    expect(place.json("show", ids[0])["result"] == 15, place.json("show", ids[0]))
    expect(place.ask("stdout", "--raw") == "leaf\n" * 6, place.ask("stdout", "--raw"))
    expect(place.ask("events", "-u").count("the call returned") == 6, place.ask("events", "-u"))
    expect("<html" in place.ask("timeline", "-o", "-"), "no page")
    expect(place.ask("timeline").count("leaf(") == 6, place.ask("timeline"))
    place.say("show", "no-such-session", status=2)


def following(place):
    """`events --follow`, `stdout --follow` and `timeline --follow` show a session that others run to its end."""
    id = place.begin("-f", "door")
    follow = {name: place.start(name, "--follow", *more, id) for name, *more in (["events", "-u"], ["stdout", "--raw"], ["timeline"])}
    with place.worker():
        place.until("the output", lambda: "before" in place.ask("stdout", id))
        place.run("resolve", f"{id}/door/1", '"open"')
        seen = {name: process.communicate(timeout=SECONDS_MAX)[0].decode() for name, process in follow.items()}
    expect(seen["events"] == place.ask("events", "-u", id), seen["events"], place.ask("events", "-u", id))
    expect(seen["stdout"] == "before the door\nthrough the door\n", seen["stdout"])
    expect("0 door" in seen["timeline"], seen["timeline"])


def promises(place):
    """`promises`, `resolve`, `fail`, and what they say of a promise that is settled, or not waited for."""
    one, other = place.begin("-f", "doors"), place.begin("-f", "doors")
    with place.worker():
        place.until("both wait", lambda: len(place.json("promises")) == 2)
        place.say("promises", one)
        place.say("resolve", f"{one}/doors/1", "1")
        place.say("resolve", f"{one}/door/1", '{"a": [1, null, "x"]}')
        place.say("fail", f"{other[:23]}/door/1", "nobody is at home")
        place.until("both end", lambda: all(place.state(id) == "finished" for id in (one, other)))
    expect(place.json("show", one)["result"] == {"a": [1, None, "x"]}, place.ask("show", one))
    expect(place.json("show", other)["result"] == "shut", place.ask("show", other))
    place.say("resolve", f"{one}/door/1", "2", status=2)
    place.say("fail", f"{other}/door/1", "again", status=2)
    place.say("promises")


def breaking(place):
    """A broken session, and its retry by the command itself or by a worker."""
    place.say("run", "program.hk", "-f", "broken", status=1)
    id = place.ask("sessions", "-q").strip()
    place.say("show", id)
    place.say("retry", id)
    place.say("retry", id, status=2)
    expect(place.ask("stdout", "--raw", id) == "one\ntwo\n", place.ask("stdout", id))
    (place.folder / "broken").unlink()
    with place.worker():
        id = place.begin("-f", "broken")
        place.until("it breaks", lambda: place.state(id) == "broken")
        # The first process to take it runs it.
        place.run("retry", id)
        place.until("the end", lambda: place.state(id) == "finished")


def cancelling(place):
    """`cancel` of a session that waits for a process, and of one that a worker runs."""
    id = place.begin("-f", "asleep")
    place.say("cancel", id)
    place.say("cancel", id, status=2)
    with place.worker():
        id = place.begin("-f", "asleep")
        place.until("it sleeps", lambda: "asleep" in place.ask("stdout", id))
        place.run("cancel", id)
        place.until("the end", lambda: place.state(id) == "cancelled")
        expect(place.ask("stdout", "--raw", id) == "asleep\ncleaned up\n", place.ask("stdout", id))
        # A call is stopped in the middle.
        id = place.begin("-f", "held")
        place.until("it calls", lambda: "called later" in place.ask("events", "-u", id))
        place.run("cancel", id)
        place.until("the end", lambda: place.state(id) == "cancelled")


def resuming(place):
    """`resume`, of one and of all, also of those that a killed process still seems to hold."""
    ids = [place.begin("-f", "noop", str(n)) for n in range(3)]
    place.say("resume", ids[1])
    place.say("resume", ids[1], status=2)
    place.say("resume", "-q")
    expect(all(place.state(id) == "finished" for id in ids), place.ask("sessions"))
    for words in ([], ["tree"]):
        run = place.start("run", "program.hk", "-f", "once", "left")
        place.until("it calls", lambda: (place.folder / "left").exists())
        id = place.json("sessions")[0]["session"]
        run.kill()
        run.communicate()
        out, err = place.run("resume", *(id for _ in words))
        expect(out.decode().endswith("7\n"), out, err)
        if place.storage == "dynamodb":
            expect(f"session {id} is held by another process: it continues here within 5 s" in err.decode(), err)
        (place.folder / "left").unlink()
    # A session that a process runs is left to that process.
    with place.worker():
        id = place.begin("-f", "held")
        place.until("it calls", lambda: "called later" in place.ask("events", "-u", id))
        if place.storage == "dynamodb":
            expect(place.ask("resume") == f"a worker continues {id}\n", "it is not left")
            expect(place.ask("resume", id) == f"a worker continues {id}\n", "it is not left")
        place.run("cancel", id)


def cancelling_what_is_lost(place):
    """`cancel` of a session whose process was killed: its threads clean up all the same, once the lease has expired."""
    run = place.start("run", "program.hk", "-f", "cleaning")
    place.until("it calls", lambda: place.json("sessions") and "called later" in place.ask("events", "-u"))
    id = place.json("sessions")[0]["session"]
    run.kill()
    run.communicate()
    out, err = place.run("cancel", id)
    expect(out.decode() == f"cancelled {id}\n" and not err, out, err)
    expect("cleaned up" in place.ask("stdout", id), place.ask("stdout", id))


def keys(place):
    """`run --key`: one of several commands creates the session, and all print its result."""
    runs = [place.start("run", "-q", "--key", "once", "program.hk", "-f", "tree", "9") for _ in range(4)]
    ends = [run.communicate(timeout=SECONDS_MAX) for run in runs]
    results = [out.decode().split("\n")[-2] for out, _ in ends if out]
    expect(results.count("36") >= 1 and set(results) == {"36"}, ends)
    expect(len(place.json("sessions")) == 1, place.ask("sessions"))
    place.say("run", "-q", "--key", "once", "program.hk", "-f", "tree", "9")
    place.say("run", "-q", "--key", "once", "program.hk", "-f", "tree", "8", status=2)
    place.say("show", "once")
    place.run("prune", "--older-than", "0s")
    place.say("run", "-q", "--key", "once", "program.hk", "-f", "tree", "2")


def moving(place):
    """`export` and `import`, into the other storage and back, in the middle of a wait."""
    other = {"sqlite": "dynamodb", "dynamodb": "sqlite"}[place.storage]
    place.run("storage", "init", storage=other)
    id = place.begin("-f", "moved", "--key", "removal")
    with place.worker():
        place.until("it waits", lambda: place.json("promises", id) != [])
    for source, target in [(place.storage, other), (other, place.storage), (place.storage, other)]:
        copy, _ = place.run("export", "--copy", id, storage=source)
        file, _ = place.run("export", id, storage=source)
        (place.folder / "session.hark").write_bytes(file)
        expect(len(copy) == len(file), len(copy), len(file))
        place.run("resume", id, storage=source, status=2)
        expect(place.ask("import", "-y", "session.hark", storage=target).strip() == id, "another id")
        place.run("import", "-y", "session.hark", storage=target, status=2)
    place.run("resolve", f"{id}/door/1", '"open"', storage=other)
    out = place.ask("resume", "removal", storage=other)
    expect(out.startswith("packed\nunpacked\n") or out.startswith("unpacked\n"), out)
    expect('[1000042, 2100000, "open"]' in out, out)
    expect(place.ask("stdout", "--raw", id, storage=other) == "packed\nunpacked\n", "other output")
    shown = json.loads(place.ask("show", "--json", id, storage=other))
    expect(shown["result"] == [1000042, 2100000, "open"], shown)
    # One that is over can be moved, too.
    (place.folder / "session.hark").write_bytes(place.run("export", id, storage=other)[0])
    place.run("import", "-y", "session.hark")
    place.say("show", id)
    place.say("events", "-u", id)


def pruning(place):
    """`prune` removes finished sessions, and nothing else."""
    for n in range(3):
        place.ask("run", "-q", "program.hk", "-f", "noop", str(n))
    place.ask("run", "-q", "program.hk", "-f", "broken", status=1)
    left = place.begin("-f", "moved")
    with place.worker():
        place.until("it waits", lambda: place.json("promises", left) != [])
    place.say("prune", "--older-than", "1h")
    place.say("prune", "--older-than", "0s")
    expect(place.ask("sessions", "-q").strip() == left, place.ask("sessions"))
    place.run("resolve", f"{left}/door/1", "1")
    place.run("resume", left)
    if place.storage == "dynamodb":
        # A program that a session uses stays, however old it is.
        make_programs_old(place)
        place.run("prune", "--older-than", "1h")
        expect("fn door()" not in place.ask("show", left) and place.ask("timeline", left), "its program is gone")
        expect(len(programs(place)) == 2, place.items())
    place.say("prune", "--older-than", "0s")
    place.say("sessions")
    if place.storage == "dynamodb":
        expect(place.items() == [], "left over", place.items())
        place.ask("run", "-q", "program.hk", "-f", "noop", "1")
        place.run("prune", "--older-than", "0s")
        expect(len(programs(place)) == 2, "another process may be starting it", place.items())


def programs(place):
    return [item for item in place.items() if item["p"]["S"].startswith("program")]


def make_programs_old(place):
    """As if nobody had started a session with them for two days."""
    for item in programs(place):
        server.call(place.direct, "PutItem", {"TableName": place.table, "Item": {**item, "t": {"N": str(int(time.time()) - 2 * 86400)}}})


def expiring(place):
    """`--ttl`: every item of a session has an expiry; the option is refused where nothing would remove the session."""
    if place.storage == "sqlite":
        place.run("run", "--ttl", "1d", "program.hk", "-f", "noop", "1", status=2)
        return
    begun = time.time()
    place.run("run", "--ttl", "0s", "program.hk", "-f", "noop", "1", status=2)
    place.ask("run", "-q", "--ttl", "2d", "program.hk", "-f", "tree", "100")
    id = place.ask("run", "--ttl", "2d", "--detach", "program.hk", "-f", "moved").strip()
    # Other processes do not know its `--ttl`.
    with place.worker():
        place.until("it waits", lambda: place.json("promises", id) != [])
    place.run("resolve", f"{id}/other/1", "1")
    items = [item for item in place.items() if ID.match(item["p"]["S"])]
    expect(len(items) > 10, items)
    without = [item for item in items if "x" not in item]
    expect(without == [], "these stay for ever", without)
    expect(all(abs(int(item["x"]["N"]) - begun - 2 * 86400) < 60 for item in items), items)
    # A session without an expiry stays, whichever process continues it.
    id = place.begin("-f", "moved")
    place.run("resolve", f"{id}/door/1", "1")
    (place.folder / "hark.toml").write_text((place.folder / "hark.toml").read_text() + 'ttl = "2d"\n')
    place.run("resume", id)
    expiring = [item for item in place.items() if item["p"]["S"].startswith(id) and "x" in item]
    expect(expiring == [], "these expire", expiring)
    # The key of an expired session starts a new session with the old id, whose time begins now.
    old = f"01900000{id[8:]}"
    key = {"p": {"S": "space"}, "r": {"B": base64.b64encode(b"\x01kagain").decode()}}
    record = {**key, "v": {"N": "1"}, "c": {"B": base64.b64encode(old.encode()).decode()}}
    server.call(place.direct, "PutItem", {"TableName": place.table, "Item": record})
    expect(place.ask("run", "-q", "--key", "again", "program.hk", "-f", "noop", "2") == "nothing to do\n2\n", "not again")
    items = [item for item in place.items() if item["p"]["S"].startswith(old)]
    expect(items and all(int(item["x"]["N"]) > begun + 86400 for item in items), "it expires at once", items)


def measuring(place):
    """`bench`."""
    told = json.loads(place.ask("bench", "program.hk", "-f", "noop", "1", "--sessions", "20", "--concurrency", "4", "--json"))
    expect(told["sessions"] == 20, told)
    if place.storage == "dynamodb":
        expect(told["calls"] >= 20 and told["write_units"] > 0 and "commits" not in told, told)
    expect(len(place.json("sessions", "--state", "finished")) == 20, place.ask("sessions"))


def working(place):
    """Several workers share sessions; one is killed."""
    ids = [place.begin("-f", "tree", "40") for _ in range(4)]
    with place.worker() as first, place.worker(), place.worker():
        place.until("some calls", lambda: "called later" in place.ask("events", "-u", ids[0]))
        first.kill()
        place.until("the ends", lambda: all(place.state(id) == "finished" for id in ids))
    expect(all(place.json("show", id)["result"] == 780 for id in ids), "another result")
    expect(place.ask("events", "-u", ids[1]).count("the call returned") == 40, "calls are missing")


# The slowest come first.
CHECKS = [resuming, working, keys, pruning, expiring, moving, looking, following, promises, breaking, cancelling,
          cancelling_what_is_lost, measuring]


def compare(check, hark, address, direct):
    """Runs a check on both storages. Returns what is wrong, and how long it took."""
    environment = {name: value for name, value in server.environment(address).items() if name != "HARK_LOG"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    begun, said = time.monotonic(), []
    try:
        for storage in ("sqlite", "dynamodb"):
            place = Place(hark, storage, check.__name__, environment, direct, "commands")
            try:
                check(place)
            finally:
                place.end()
            said.append([[without_storage(text) for text in texts] for texts in place.said])
        for one, other in zip(*said, strict=True):
            expect(one == other, *one, "--- and with DynamoDB", *other)
    except Wrong as wrong:
        return str(wrong), time.monotonic() - begun
    return None, time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--jobs", type=int, default=4)
    given = parser.parse_args()
    checks = [check for check in CHECKS if not given.only or check.__name__ in given.only]
    is_well = True
    with server.running() as direct, server.behind(direct, ["--keys", "p,r"]) as address:
        with ThreadPoolExecutor(given.jobs) as pool:
            ends = pool.map(lambda check: compare(check, given.hark.resolve(), address, direct), checks)
            for check, (wrong, seconds) in zip(checks, ends):
                is_well &= wrong is None
                print(f"{check.__name__}: {'right' if wrong is None else 'WRONG'} ({seconds:.1f} s)", flush=True)
                print(f"{wrong}\n" if wrong else "", end="", flush=True)
        requests = server.ask(address, "/counts")["requests"]
    print(", ".join(f"{count} {name}" for name, count in sorted(requests.items())))
    if "Scan" in requests:
        print("WRONG: the table was scanned")
    raise SystemExit(not is_well or "Scan" in requests)


if __name__ == "__main__":
    main()
