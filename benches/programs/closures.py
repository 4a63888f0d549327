def adder(n):
    return lambda x: x + n


def loop(n):
    total = 0
    while n > 0:
        total = adder(n)(total)
        n -= 1
    return total


print(loop(5_000_000))
