"""The program that a worker's interpreter gets with `-c`: reads the worker's modules from standard input and runs them.

Nothing has to be installed, and `__main__` gets only one name. The compiled code is kept in a file if there is a folder for
it: compiling would take a quarter of a worker's start time.
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

    def compiled(folder, parts):
        import _imp
        import marshal
        from importlib._bootstrap_external import MAGIC_NUMBER

        path = "%s/worker-%s-%d.code" % (folder, sys.implementation.cache_tag, sys.flags.optimize)
        try:
            with open(path, "rb") as file:
                data = file.read()
            # A damaged file could be mistaken for code.
            if data[:12] == MAGIC_NUMBER + _imp.source_hash(0, data[12:]):
                return marshal.loads(memoryview(data)[12:])
        except (OSError, ValueError, EOFError, TypeError):
            pass
        codes = [compile(source, "<hark>/" + name + ".py", "exec") for name, source in zip(parts[::2], parts[1::2])]
        if folder:
            new = "%s.%d.new" % (path, os.getpid())
            try:
                data = marshal.dumps(codes)
                with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                    file.write(MAGIC_NUMBER + _imp.source_hash(0, data) + data)
                os.replace(new, path)
            except (OSError, ValueError):
                # A full disk, or a name that Python cannot encode, only costs time.
                pass
        return codes

    # Files in the current folder must not shadow the modules that the worker itself needs.
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    # The worker moves its socket away. This copy is for reporting errors in any case.
    connection = os.dup(0)
    try:
        # The folder, then the name and source of each module.
        folder, *parts = take(int.from_bytes(take(4), "little")).decode("utf-8", "surrogateescape").split("\0")
        for name, code in zip(parts[::2], compiled(folder, parts)):
            module = type(sys)(name)
            module.__spec__ = type(sys.__spec__)(name, None)
            sys.modules[name] = module
            exec(code, module.__dict__)
        worker = sys.modules["_hark_worker"].Worker()
    except (OSError, MemoryError) as error:
        # A resource has run out. This is an answer too: U and the errno.
        number = getattr(error, "errno", None) or errno.ENOMEM
        os.write(connection, b"\5\0\0\0U" + number.to_bytes(4, "little"))
        sys.exit(1)
    os.close(connection)
    worker.run()


_hark_start()
