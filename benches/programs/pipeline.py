def map(f, items):
    result = []
    for item in items:
        result.append(f(item))
    return result


def filter(f, items):
    result = []
    for item in items:
        if f(item):
            result.append(item)
    return result


def reduce(f, items, result):
    for item in items:
        result = f(result, item)
    return result


def triple(x):
    return x * 3


def even(x):
    return x % 2 == 0


def add(a, b):
    return a + b


print(reduce(add, filter(even, map(triple, list(range(1_000_000)))), 0))
