import numpy


def scalars():
    return {
        "bool": numpy.bool_(True),
        "int8": numpy.int8(-5),
        "uint64": numpy.uint64(2**64 - 1),
        "float32": numpy.float32(0.5),
        "float64": numpy.float64(2.5),
        "nan": numpy.float64("nan") == numpy.float64("nan"),
        "sum": numpy.arange(10).sum(),
        "any": (numpy.arange(10) > 8).any(),
        "str": numpy.str_("text"),
    }


def kinds(values):
    return {name: type(value).__name__ for name, value in values.items()}


def array(length):
    return numpy.arange(length * length).reshape(length, length)


def plus(values, other):
    # A function may modify its arguments.
    values += other
    return values


def total(values):
    return values.sum()
