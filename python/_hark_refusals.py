"""What to say of a value that Hark has not: where it is, what it is, and what to return instead."""
from _hark_values import INTEGER_BITS_MAX, name_of_type

# The most that is shown of a long key, and of a long way to a value: its beginning and its end.
KEY_LENGTH_MAX = 40
STEPS_MAX = 8

_AS_LIST = "return `list(x)`"
_AS_TEXT = "return `str(x)`"
_AS_BYTES = "return `x.decode()` for a text, else `base64.b64encode(x).decode()`"
_OF_PYTHON = "return what it gives, or its name"

# By the name of the type or of one that it is derived from, without loading any module.
_REMEDIES = {
    "set": _AS_LIST,
    "frozenset": _AS_LIST,
    "bytes": _AS_BYTES,
    "bytearray": _AS_BYTES,
    "memoryview": "return `x.tolist()`",
    "complex": "return `[x.real, x.imag]`",
    "generator": _AS_LIST,
    "async_generator": "return `[each async for each in x]`",
    "function": _OF_PYTHON,
    "method": _OF_PYTHON,
    "builtin_function_or_method": _OF_PYTHON,
    "module": _OF_PYTHON,
    "type": _OF_PYTHON,
    "BaseException": "raise it, or return `str(x)`",
    "datetime.datetime": "return `x.isoformat()`",
    "datetime.date": "return `x.isoformat()`",
    "datetime.time": "return `x.isoformat()`",
    "datetime.timedelta": "return `x.total_seconds()`",
    "decimal.Decimal": "return `str(x)`, or `float(x)` if that is exact enough",
    "fractions.Fraction": "return `[x.numerator, x.denominator]`, or `float(x)` if that is exact enough",
    "uuid.UUID": _AS_TEXT,
    "enum.Enum": "return `x.value`",
    "re.Match": "return `x.group()`",
    "_io._IOBase": "return `x.read()`, or the path",
    "numpy.bool": "return `bool(x)`",
    "numpy.bool_": "return `bool(x)`",
    "numpy.integer": "return `int(x)`",
    "numpy.floating": "return `float(x)`",
    "numpy.complexfloating": "return `[x.real, x.imag]`",
    "numpy.datetime64": _AS_TEXT,
    "numpy.timedelta64": _AS_TEXT,
    "numpy.generic": "return `x.item()`",
    "pandas.DataFrame": 'return `x.to_dict("records")`',
    "pandas.core.frame.DataFrame": 'return `x.to_dict("records")`',
    "pandas.api.typing.NAType": "return `None`",
    "pandas._libs.missing.NAType": "return `None`",
    "pandas.api.typing.NaTType": "return `None`",
    "pandas._libs.tslibs.nattype.NaTType": "return `None`",
    "pydantic.main.BaseModel": 'return `x.model_dump(mode="json")`',
}

# By what the type has, the first that fits.
_REMEDIES_BY_ATTRIBUTE = [
    ("__dataclass_fields__", "return `dataclasses.asdict(x)`"),
    ("__attrs_attrs__", "return `attrs.asdict(x)`"),
    ("__await__", "return `await x`"),
    ("tolist", "return `x.tolist()`"),
    ("keys", "return `dict(x)`"),
    ("__fspath__", _AS_TEXT),
    ("__iter__", _AS_LIST),
    ("__index__", "return `int(x)`"),
    ("__float__", "return `float(x)`"),
    ("__dict__", "return a dict of what the program needs of it"),
]

_REMEDY_OF_ANY = "return a string, a number, a list or a dict that says the same"


def told(refused):
    """What follows "the function returned"."""
    what, remedy = _described(refused.culprit, refused.is_key)
    steps = _steps_to(refused.value, refused.culprit, refused.is_key)
    if not steps:
        return "%s, which no Hark value can be: %s" % (what, remedy)
    if len(steps) > STEPS_MAX:
        half = STEPS_MAX // 2
        steps[half:-half] = ["... %d levels ..." % (len(steps) - STEPS_MAX)]
    return "what no Hark value can be: %s is %s: %s" % (", ".join(steps), what, remedy)


def _described(culprit, is_key):
    """What it is, and the remedy."""
    if isinstance(culprit, str):
        surrogate = next((each for each in culprit if "\ud800" <= each <= "\udfff"), "\ud800")
        return "a string with the lone surrogate U+%04X" % ord(surrogate), 'return `x.encode("utf-8", "replace").decode()`'
    if isinstance(culprit, int):
        return "an int of %d bits (Hark's have at most %d)" % (culprit.bit_length(), INTEGER_BITS_MAX), "return `hex(x)`"
    if is_key:
        what = repr(culprit) if culprit is None or isinstance(culprit, float) else _with_article(culprit)
        return what, "keys are strings and numbers, such as `%s`" % ("int(x)" if _is_integer(culprit) else "str(x)")
    if isinstance(culprit, (list, tuple, dict)):
        return "a %s that holds itself" % _container_name(culprit), "return a copy that does not"
    return _with_article(culprit), _remedy(type(culprit))


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
    if not isinstance(value, (list, tuple, dict)):
        return []
    steps, open_ids, open_children = [], [id(value)], [_children(value)]
    known_ids = set(open_ids)
    while open_children:
        for step, item, item_is_key in open_children[-1]:
            is_container = isinstance(item, (list, tuple, dict)) and not item_is_key
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
    if not isinstance(container, dict):
        for index, item in enumerate(container):
            yield "item %d of the %s" % (index, name), item, False
        return
    for key, item in list(container.items()):
        yield "a key of the dict", key, True
        yield "key %s of the dict" % _shown_key(key), item, False


def _shown_key(key):
    if not isinstance(key, str):
        return repr(key)
    escaped = {'"': '\\"', "\\": "\\\\"}
    shown = (escaped.get(each) or (each if each.isprintable() else ascii(each)[1:-1]) for each in key[:KEY_LENGTH_MAX])
    return '"%s"' % "".join(shown) + ("..." if len(key) > KEY_LENGTH_MAX else "")


def _container_name(container):
    return next(each.__name__ for each in (list, tuple, dict) if isinstance(container, each))


def _with_article(value):
    name = name_of_type(type(value))
    return ("an " if name[0].lower() in "aeio" else "a ") + name
