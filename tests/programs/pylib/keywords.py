"""Functions with keyword arguments of all kinds."""


def keywords_only(text, *, loud):
    return [text, loud]


def keywords(*args, **kwargs):
    return [list(args), kwargs]


def with_dict(record, **more):
    return [record, more]


def positional(a, /):
    return a


async def later(value):
    return value


class Maker:
    @classmethod
    def make(cls, name):
        return "by " + name
