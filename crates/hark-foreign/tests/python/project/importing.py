"""Imports the module `hark` as other programs do."""
import importlib
import importlib.util
import multiprocessing
import pathlib

import hark


def square(number):
    assert hark.call_id
    return number * number


def in_children(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(square, range(3))


def kept_code():
    """The files with the compiled code of workers."""
    return [str(each) for each in pathlib.Path(hark.__path__[0]).parent.glob("worker-*.code")]


def hark_can_be_found():
    import hark.testing

    return [
        importlib.util.find_spec("hark") is not None,
        importlib.import_module("hark") is hark,
        hark.testing.__file__.startswith(hark.__path__[0]),
    ]
