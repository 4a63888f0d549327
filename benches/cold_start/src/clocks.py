"""Functions that return when they were called, in seconds since 1970: `clock` for Hark, `handler` for AWS's own runtime."""
import time


def clock():
    return time.time()


def handler(event, context):
    return time.time()
