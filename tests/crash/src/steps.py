"""The functions called by the program: each call appends a line to a file, even if its result is lost."""
import json
import os
import random
import time


def step(key):
    token = note(key)
    time.sleep(random.uniform(0, 0.015))
    return token


def refuse(key):
    raise ValueError(step(key))


def note(key):
    token = os.urandom(6).hex()
    line = json.dumps({"key": key, "token": token}) + "\n"
    file = os.open(os.environ["CRASH_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
    return token
