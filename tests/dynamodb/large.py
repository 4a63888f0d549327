#!/usr/bin/env python3
"""Large values in a DynamoDB table: they come back complete, and nothing of them is left behind.

    large.py HARK [--whole]

A string of 50 MB goes through three threads; many threads of one session have a value of 1 MB each, which compression makes no
smaller, or much smaller. `--whole` has 200 and 2,000 of these threads, which takes three minutes on two busy cores; without it there are fewer. The
emulator refuses items and transactions that DynamoDB would refuse as too large.
"""
import argparse
import resource
import time
from pathlib import Path

import server
from place import Place, Wrong, expect

MB = 1_000_000


def run(place, function, count, expected):
    begun = time.monotonic()
    value = place.ask("run", "-q", "program.hk", "-f", function, str(count)).strip()
    expect(value == str(expected), function, value, expected)
    shown = place.json("show")
    expect(shown["state"] == "finished" and shown["result"] == expected, shown)
    print(f"{function}({count}): right ({time.monotonic() - begun:.1f} s)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    hard, easy = (200, 2_000) if given.whole else (20, 100)
    with server.running() as address:
        place = Place(given.hark.resolve(), "dynamodb", "large", server.environment(address), address, "large")
        try:
            run(place, "long", 50 * MB, 50 * MB)
            run(place, "hards", hard, hard * MB)
            run(place, "easies", easy, easy * MB)
            place.run("prune", "--older-than", "0s")
            left = [item for item in place.items() if not item["p"]["S"].startswith("program")]
            expect(left == [], "left over", len(left), left[:3])
        except Wrong as wrong:
            raise SystemExit(f"WRONG: {wrong}") from None
        finally:
            place.end()
    print(f"the largest process had {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB of memory")


if __name__ == "__main__":
    main()
