"""Names that are not valid in a Hark program."""


class Area(int):
    def __new__(cls, width, height):
        return super().__new__(cls, width * height)


def MAKE_pair(one, other):
    return one, other


def LOUD():
    return "LOUD"


def _private():
    return "kept"


class Item:
    @staticmethod
    def load(name):
        return "loaded " + name

    @classmethod
    def named(cls, name):
        return [cls.__name__, name]

    def make(self, name):
        return "made %s %s" % (self, name)

    class Part:
        @staticmethod
        def inside(name):
            return "deep " + name


def größe(items):
    return len(items)


def café():
    return "café"


def null():
    return "null"


def true():
    return "true"
