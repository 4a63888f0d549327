"""Messages about values that Hark does not support: their place, their type, and what to return instead."""
from _hark_values import CONTAINERS, INTEGER_BITS_MAX, name_of_type

# The maximum length of a key, and of the path to a value, in messages. Of a longer path, the beginning and the end are
# shown.
KEY_LENGTH_MAX = 40
STEPS_MAX = 8

_AS_LIST = "return `list(x)`"
_OF_PYTHON = "return its result, or its name"

# Remedies for values that cannot be pickled, by the name of their type or of a base type, without loading any module.
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

# Remedies by an attribute of the type; the first match counts.
_REMEDIES_BY_ATTRIBUTE = [
    ("__dataclass_fields__", "return `dataclasses.asdict(x)`"),
    ("__attrs_attrs__", "return `attrs.asdict(x)`"),
    ("__await__", "return `await x`"),
    ("__next__", _AS_LIST),
    ("keys", "return `dict(x)`"),
    ("__dict__", "return a dict of what the program needs of it"),
]

_REMEDY_OF_ANY = "return the same information as a string, number, list or dict"


def told(refused):
    """The message after "the function returned"."""
    what, remedy = _described(refused.culprit, refused.is_key, refused.why)
    steps = _steps_to(refused.value, refused.culprit, refused.is_key)
    if not steps:
        which = "which is not a valid Hark value" if not refused.why else "so it is not a valid Hark value"
        return "%s, %s: %s" % (what, which, remedy)
    if len(steps) > STEPS_MAX:
        half = STEPS_MAX // 2
        steps[half:-half] = ["... %d levels ..." % (len(steps) - STEPS_MAX)]
    return "a value that Hark does not support: %s is %s: %s" % (", ".join(steps), what, remedy)


def _described(culprit, is_key, why):
    """The description of a value, and the remedy."""
    if isinstance(culprit, str):
        surrogate = next((each for each in culprit if "\ud800" <= each <= "\udfff"), "\ud800")
        return "a string with the lone surrogate U+%04X" % ord(surrogate), 'return `x.encode("utf-8", "replace").decode()`'
    if isinstance(culprit, int):
        return "an int of %d bits (the maximum is %d)" % (culprit.bit_length(), INTEGER_BITS_MAX), "return `hex(x)`"
    if is_key:
        what = repr(culprit) if culprit is None or isinstance(culprit, float) else _with_article(culprit)
        return what, "keys are strings and numbers, such as `%s`" % ("int(x)" if _is_integer(culprit) else "str(x)")
    if isinstance(culprit, CONTAINERS):
        return "a %s that contains itself" % _container_name(culprit), "return a copy that does not"
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
    """The path to a value in words, in the order of encoding. It is empty if another thread has changed the value since."""
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
    """The items of a container, each with its place in words and whether it is a key."""
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
