"""What a worker's interpreter is given with `-c`: takes the worker's modules from its standard input and runs them.

Nothing has to be installed, no file has to be written, and `__main__` gets one name.
"""


def _hark_start():
    import errno
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
    try:
        # The name of a module, its source, the name of the next one, and so on.
        parts = take(int.from_bytes(take(4), "little")).decode().split("\0")
        for name, source in zip(parts[::2], parts[1::2]):
            module = type(sys)(name)
            module.__spec__ = type(sys.__spec__)(name, None)
            sys.modules[name] = module
            exec(compile(source, "<hark>/" + name + ".py", "exec"), module.__dict__)
        worker = sys.modules["_hark_worker"].Worker()
    except (OSError, MemoryError) as error:
        # The system is short of something. This is an answer too: U and the number of the error.
        number = getattr(error, "errno", None) or errno.ENOMEM
        os.write(0, b"\5\0\0\0U" + number.to_bytes(4, "little"))
        sys.exit(1)
    worker.run()


_hark_start()
