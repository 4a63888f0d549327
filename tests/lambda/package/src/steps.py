import time


def step(n):
    return n * 2


def hang(seconds):
    time.sleep(seconds)
    return "late"
