"""What to say of a value that Hark has not: where it is, what it is, and what to return instead."""
from _hark_values import CONTAINERS, INTEGER_BITS_MAX, name_of_type

# The most that is shown of a long key, and of a long way to a value: its beginning and its end.
KEY_LENGTH_MAX = 40
STEPS_MAX = 8

_AS_LIST = "return `list(x)`"
_OF_PYTHON = "return what it gives, or its name"

# Of what cannot be pickled, by the name of the type or of one that it is derived from, without loading any module.
_REMEDIES = {
    "memoryview": "return `bytes(x)`",
    "generator": _AS_LIST,
    "async_generator": "return `[each async for each in x]`",
    "function": _OF_PYTHON,
    "method": _OF_PYTHON,
    "builtin_function_or_method": _OF_PYTHON,
    "module": _OF_PYTHON,
    "type": _OF_PYTHON,
    "re.Match": "return `x.group()`",
    "_io._IOBase": "return `x.read()`, or the path",
}

# By what the type has, the first that fits.
_REMEDIES_BY_ATTRIBUTE = [
    ("__dataclass_fields__", "return `dataclasses.asdict(x)`"),
    ("__attrs_attrs__", "return `attrs.asdict(x)`"),
    ("__await__", "return `await x`"),
    ("__next__", _AS_LIST),
    ("keys", "return `dict(x)`"),
    ("__dict__", "return a dict of what the program needs of it"),
]

_REMEDY_OF_ANY = "return a string, a number, a list or a dict that says the same"


def told(refused):
    """What follows "the function returned"."""
    what, remedy = _described(refused.culprit, refused.is_key, refused.why)
    steps = _steps_to(refused.value, refused.culprit, refused.is_key)
    if not steps:
        which = "which no Hark value can be" if not refused.why else "so that it is no value of Hark"
        return "%s, %s: %s" % (what, which, remedy)
    if len(steps) > STEPS_MAX:
        half = STEPS_MAX // 2
        steps[half:-half] = ["... %d levels ..." % (len(steps) - STEPS_MAX)]
    return "what no Hark value can be: %s is %s: %s" % (", ".join(steps), what, remedy)


def _described(culprit, is_key, why):
    """What it is, and the remedy."""
    if isinstance(culprit, str):
        surrogate = next((each for each in culprit if "\ud800" <= each <= "\udfff"), "\ud800")
        return "a string with the lone surrogate U+%04X" % ord(surrogate), 'return `x.encode("utf-8", "replace").decode()`'
    if isinstance(culprit, int):
        return "an int of %d bits (Hark's have at most %d)" % (culprit.bit_length(), INTEGER_BITS_MAX), "return `hex(x)`"
    if is_key:
        what = repr(culprit) if culprit is None or isinstance(culprit, float) else _with_article(culprit)
        return what, "keys are strings and numbers, such as `%s`" % ("int(x)" if _is_integer(culprit) else "str(x)")
    if isinstance(culprit, CONTAINERS):
        return "a %s that holds itself" % _container_name(culprit), "return a copy that does not"
    return "%s, which cannot be pickled (%s)" % (_with_article(culprit), why), _remedy(type(culprit))


def _is_integer(value):
    return hasattr(type(value), "__index__")


def _remedy(kind):
    for base in kind.__mro__:
        remedy = _REMEDIES.get(name_of_type(base))
        if remedy:
            return remedy
    has = set().union(*(vars(base) for base in kind.__mro__ if base is not object))
    return next((remedy for name, remedy in _REMEDIES_BY_ATTRIBUTE if name in has), _REMEDY_OF_ANY)


def _steps_to(value, culprit, is_key):
    """The way to it in the order of the encoding, in words; another thread may have changed the value since."""
    if not isinstance(value, CONTAINERS):
        return []
    steps, open_ids, open_children = [], [id(value)], [_children(value)]
    known_ids = set(open_ids)
    while open_children:
        for step, item, item_is_key in open_children[-1]:
            is_container = isinstance(item, CONTAINERS) and not item_is_key
            is_found = item is culprit and (item_is_key == is_key or isinstance(item, str))
            if is_found if not is_container else id(item) in known_ids:
                return [*steps, step]
            if is_container:
                steps.append(step)
                open_ids.append(id(item))
                known_ids.add(id(item))
                open_children.append(_children(item))
                break
        else:
            open_children.pop()
            known_ids.discard(open_ids.pop())
            if steps:
                steps.pop()
    return []


def _children(container):
    """What is in it, each with the words for its place and whether it is a key."""
    name = _container_name(container)
    if isinstance(container, (list, tuple)):
        for index, item in enumerate(container):
            yield "item %d of the %s" % (index, name), item, False
        return
    for key, item in list(container.items()):
        yield "a key of the %s" % name, key, True
        yield "key %s of the %s" % (_shown_key(key), name), item, False


def _shown_key(key):
    if not isinstance(key, str):
        return repr(key)
    escaped = {'"': '\\"', "\\": "\\\\"}
    shown = (escaped.get(each) or (each if each.isprintable() else ascii(each)[1:-1]) for each in key[:KEY_LENGTH_MAX])
    return '"%s"' % "".join(shown) + ("..." if len(key) > KEY_LENGTH_MAX else "")


def _container_name(container):
    return next(each.__name__.lower() for each in CONTAINERS if isinstance(container, each))


def _with_article(value):
    name = name_of_type(type(value))
    return ("an " if name[0].lower() in "aeio" else "a ") + name
