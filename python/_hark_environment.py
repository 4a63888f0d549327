"""The environment of a worker, which a call may change and the next one gets back.

`os.environ` changes it by `os.putenv` and `os.unsetenv`. These are replaced here, and note what is changed: that costs
nothing where nothing is, and finds what `os.environ` does not know of.
"""
import functools
import os

_putenv, _unsetenv = os.putenv, os.unsetenv


class Environment:
    def __init__(self):
        # The names that were set or unset, as bytes.
        self.changed = set()
        os.putenv, os.unsetenv = self.noticed(_putenv), self.noticed(_unsetenv)
        if hasattr(os.environ, "putenv"):
            # Python 3.8.
            os.environ.putenv, os.environ.unsetenv = os.putenv, os.unsetenv
        self.save()

    def noticed(self, function):
        @functools.wraps(function)
        def call(name, *arguments):
            function(name, *arguments)
            self.changed.add(os.fsencode(name))

        return call

    def save(self):
        self.object = os.environ
        # The bytes behind it. A module may have put something there that has none, and is left alone.
        self.values = dict(getattr(os.environ, "_data", ()))
        self.changed.clear()

    def restore(self):
        os.environ = self.object
        data = getattr(self.object, "_data", None)
        if data is None:
            self.changed.clear()
        while self.changed:
            name = self.changed.pop()
            if name in self.values:
                data[name] = self.values[name]
                _putenv(name, data[name])
            else:
                data.pop(name, None)
                _unsetenv(name)
