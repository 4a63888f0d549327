"""The environment variables of a worker, which are restored after a call has changed them.

`os.environ` changes them with `os.putenv` and `os.unsetenv`. Both are replaced here by functions that record what changes:
this costs nothing if nothing changes, and also finds changes that `os.environ` does not know about.
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
        # The bytes behind `os.environ`. A module may have replaced it with an object without them, which is then left
        # alone.
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
