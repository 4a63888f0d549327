def fail(n):
    raise ValueError("no number")


def loop(n):
    total = 0
    while n > 0:
        try:
            total += fail(n)
        except ValueError as error:
            total += len(str(error))
        n -= 1
    return total


print(loop(1_000_000))
