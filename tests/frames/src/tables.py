import os
import time

import pandas


def frame(rows):
    return pandas.DataFrame({"number": range(rows), "name": [f"row {number % 7}" for number in range(rows)]})


def with_sum(table):
    table["sum"] = table["number"].cumsum()
    return table


def above(table, least):
    return table[table["number"] >= least]


def described(table):
    return [type(table).__name__, list(table.columns), list(table.shape), table["number"].sum(), table["name"].nunique()]


def gated(table):
    """Waits while there is a gate file, so that the session can be killed or moved."""
    if os.path.exists("gate"):
        open("begun", "w").close()
        while os.path.exists("gate"):
            time.sleep(0.01)
    return table
