"""What a worker's interpreter is given with `-c`: takes the worker's modules from its standard input and runs them.

Nothing has to be installed, no file has to be written, and `__main__` gets one name.
"""


def _hark_start():
    import os
    import sys

    if sys.version_info < (3, 8):
        sys.exit("Hark needs Python 3.8 or later, but this is " + sys.version)

    def take(count):
        data = b""
        while len(data) < count:
            more = os.read(0, count - len(data))
            if not more:
                sys.exit(1)
            data += more
        return data

    # What lies in the current folder must not stand for the modules that the worker itself needs.
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    # The name of a module, its source, the name of the next one, and so on.
    parts = take(int.from_bytes(take(4), "little")).decode().split("\0")
    for name, source in zip(parts[::2], parts[1::2]):
        module = type(sys)(name)
        sys.modules[name] = module
        exec(compile(source, "<hark>/" + name + ".py", "exec"), module.__dict__)
    sys.modules["_hark_worker"].main()


_hark_start()
