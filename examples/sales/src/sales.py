"""Reads and adds up files of sales, which have the columns region, product, and amount."""
from pathlib import Path

import hark
import pandas

ROWS_AT_A_TIME = 100_000


def files(folder):
    return sorted(str(path) for path in Path(folder).glob("*.csv"))


def read(path):
    pieces = []
    for piece in pandas.read_csv(path, chunksize=ROWS_AT_A_TIME):
        pieces.append(piece)
        # `hark show` shows it while this goes on.
        hark.progress({"rows": sum(map(len, pieces))})
    return pandas.concat(pieces, ignore_index=True)


def cleaned(frame):
    return frame.dropna(subset=["amount"]).drop_duplicates()


def by_region(frame):
    return frame.groupby("region")["amount"].sum()


def table(sums):
    """What all files come to, from pairs of a path and a series."""
    total = pandas.concat([series for _, series in sums]).groupby(level=0).sum()
    return {region: round(float(amount), 2) for region, amount in total.items()}
