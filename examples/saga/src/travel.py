"""Bookings, in a file. The call's name is the key: a call that is made again after a crash books nothing twice."""
import json
import pathlib

import hark

BOOK = pathlib.Path("bookings.json")


def book(kind, what):
    bookings = _bookings()
    if kind == "car" and "Oslo" in what:
        raise LookupError(f"no {what}")
    bookings[hark.call_id()] = what
    BOOK.write_text(json.dumps(bookings))
    print("booked", what)


def cancel_booking(kind, what):
    kept = {key: booked for key, booked in _bookings().items() if booked != what}
    BOOK.write_text(json.dumps(kept))
    print("cancelled", what)


def _bookings():
    return json.loads(BOOK.read_text()) if BOOK.exists() else {}
