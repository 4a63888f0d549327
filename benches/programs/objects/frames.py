"""A data frame of 100 MB, passed through five functions."""
import numpy
import pandas


def make():
    numbers = numpy.random.default_rng(1).random((1_250_000, 10))
    return pandas.DataFrame(numbers, columns=["c%d" % index for index in range(10)])


def same(frame):
    return frame
