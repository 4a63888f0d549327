"""Looks for the module `hark` as others do."""
import importlib
import importlib.util
import multiprocessing

import hark


def square(number):
    assert hark.call_id
    return number * number


def in_children(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(square, range(3))


def hark_can_be_found():
    import hark.testing

    return [
        importlib.util.find_spec("hark") is not None,
        importlib.import_module("hark") is hark,
        hark.testing.__file__.startswith(hark.__path__[0]),
    ]
