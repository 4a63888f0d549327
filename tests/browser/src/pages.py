"""What the sessions of the browser test call."""
import time


def fetch(name):
    time.sleep(0.1 + len(name) / 50)
    if name == "nothing":
        raise ValueError("there is no <b>nothing</b> in stock\nlook for something")
    return f"{name} from the shelf"


def charge(order, amount):
    time.sleep(0.1)
    return {"order": order, "amount": amount}


def price(item):
    time.sleep(0.02)
    return item * 3
