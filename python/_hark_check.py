"""Checks by parsing whether imported functions exist and which arguments they take; no module is loaded.

Whatever cannot be known by parsing is left open: the answer is then `{}`. A question is `{"module", "function"}`. Any other
answer has one of

    "no_module"      the first part of the module's name that does not exist
    "no_function"    the missing name, and "owner", the module or class without it
    "not_callable"   the name of its type
    "bad_syntax"     the syntax error in a module of the project, and its place
    "signature"      see `_signature`, and the place of the definition

and possibly "near", a name that may have been meant.
"""
import ast
import warnings

from _hark_check_find import UNKNOWABLE, Finder
from _hark_check_scope import Scope

# The maximum number of names and modules that refer to each other in a chain.
HOPS_MAX = 20
FILE_BYTES_MAX = 5_000_000

# A module with one of these in its text may have names that no statement shows.
DYNAMIC = ("globals()", "exec(", "vars()", "locals()", "sys.modules")

# The attributes that every module has.
MODULE_NAMES = {"__name__", "__doc__", "__file__", "__dict__", "__loader__", "__package__", "__path__", "__spec__"}


class Missing(Exception):
    """A name that its owner certainly does not have."""

    def __init__(self, name, owner, near):
        self.answer = {"no_function": name, "owner": owner, "near": near}


class BadSyntax(Exception):
    def __init__(self, file, error):
        self.answer = {"bad_syntax": error.msg, "file": file, "line": error.lineno or 1}


class Module:
    """A parsed module."""

    def __init__(self, found):
        self.name, self.file, self.paths = found.name, found.file, found.paths
        text, tree = "", ast.Module([], [])
        if self.file:
            with open(self.file, "rb") as opened:
                data = opened.read(FILE_BYTES_MAX + 1)
            if len(data) > FILE_BYTES_MAX:
                raise ValueError("too large")
            text, tree = data.decode("utf-8", "replace"), ast.parse(data)
        self.scope = Scope(tree.body, text)
        for node in ast.walk(tree) if "global " in text or ":=" in text else ():
            if isinstance(node, ast.Global):
                for name in node.names:
                    self.scope.bind(name, None)
            elif type(node).__name__ == "NamedExpr":
                self.scope.bind_all(node.target)
        self.is_dynamic = "__getattr__" in self.scope.names or any(sign in text for sign in DYNAMIC)
        self.described = "the Python module `%s`" % self.name


class Class:
    """A class of a parsed module."""

    def __init__(self, node, module, name):
        self.node, self.module, self.name = node, module, name
        self.scope = Scope(node.body, module.scope.text)
        self.described = "`%s`" % name
        bases = [base for base in node.bases if not (isinstance(base, ast.Name) and base.id == "object")]
        self.is_plain = not (bases or node.keywords or node.decorator_list)
        # `Class.name = ...` may be anywhere in the module.
        self.is_dynamic = not self.is_plain or "setattr(" + node.name in self.scope.text


class Checker:
    def __init__(self, folders):
        self.finder = Finder(folders)
        self.modules = {}

    def answer(self, module_name, function_name):
        try:
            owner = self.find(module_name)
            if not isinstance(owner, Module):
                return owner or {}
            path = module_name
            for name in function_name.split("."):
                path += "." + name
                owner = self.attribute(owner, name, path, 0)
            return self.judge(owner)
        except (Missing, BadSyntax) as error:
            return error.answer
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return {}

    def find(self, name):
        """The module; otherwise an answer, or None if it is unknown."""
        parts = name.split(".")
        found, whole = self.finder.top(parts[0]), parts[0]
        if found is None:
            near = self.finder.names_beside(self.finder.own)
            return {"no_module": whole, "near": _nearest(whole, near)}
        for part in parts[1:]:
            if found is UNKNOWABLE:
                return None
            parent, whole = self.parse(found), whole + "." + part
            found = self.finder.in_folders(whole, parent.paths) if parent.paths else None
            if found is None:
                has_hooks = self.finder.has_hooks and not (parent.file and self.finder.is_own(parent.file))
                if has_hooks or parent.is_dynamic or "__path__" in parent.scope.text:
                    return None
                near = _nearest(part, self.finder.names_beside(parent.paths or ()))
                return {"no_module": whole, "near": near and "%s.%s" % (parent.name, near)}
        return None if found is UNKNOWABLE else self.parse(found)

    def parse(self, found):
        key = found.file or found.name
        if key not in self.modules:
            try:
                self.modules[key] = Module(found)
            except SyntaxError as error:
                if self.finder.is_own(found.file):
                    raise BadSyntax(found.file, error) from None
                raise
        return self.modules[key]

    def attribute(self, owner, name, path, hops):
        """The meaning of an attribute of a module or class, or None if it is unknown."""
        if not isinstance(owner, (Module, Class)) or hops > HOPS_MAX:
            return None
        nodes = owner.scope.names.get(name)
        if nodes is None:
            return self.unbound(owner, name, path, hops)
        if len(nodes) > 1 or isinstance(owner, Module) and not all(self.leaves(owner, star, name) for star in owner.scope.stars):
            return None
        return self.meaning(owner, nodes[0], path, hops + 1)

    def leaves(self, module, star, name):
        """Whether `from ... import *` certainly does not bind this name as well."""
        level, module_name, _ = star
        other = self.imported(module, level, module_name)
        return bool(other) and name not in other.scope.names and not other.scope.stars and not other.is_dynamic

    def unbound(self, owner, name, path, hops):
        if isinstance(owner, Class):
            may_be = owner.is_dynamic or hasattr(type, name) or "%s.%s" % (owner.node.name, name) in owner.scope.text
        else:
            for level, module_name, _ in owner.scope.stars:
                module = self.imported(owner, level, module_name)
                if not module or name in module.scope.names or module.scope.stars or module.is_dynamic:
                    return self.attribute(module, name, path, hops + 1)
            may_be = owner.is_dynamic or name in MODULE_NAMES or self.has_submodule(owner, name)
        if may_be:
            return None
        raise Missing(name, owner.described, _nearest(name, owner.scope.names))

    def has_submodule(self, module, name):
        return bool(module.paths) and self.finder.in_folders("%s.%s" % (module.name, name), module.paths) is not None

    def meaning(self, owner, what, path, hops):
        """The meaning of a binding: a Module, a Class, a function's node and owner, the name of a value's type, or None."""
        module = owner.module if isinstance(owner, Class) else owner
        if isinstance(what, tuple):
            level, module_name, name = what
            imported = self.imported(module, level, module_name)
            if name is None or imported is None:
                return imported
            if self.has_submodule(imported, name) and (imported is module or name not in imported.scope.names):
                return self.imported(imported, 0, "%s.%s" % (imported.name, name))
            try:
                return self.attribute(imported, name, path, hops)
            except Missing:
                # The import itself fails, which is not a mistake in the Hark program.
                return None
        if isinstance(what, ast.ClassDef):
            return Class(what, module, path)
        if isinstance(what, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return what, owner
        if isinstance(what, ast.Lambda):
            return what, owner if isinstance(owner, Class) else module
        if isinstance(what, ast.Name) and isinstance(owner, Module):
            return self.attribute(owner, what.id, path, hops) if what.id in owner.scope.names else None
        if isinstance(what, ast.Attribute) and isinstance(owner, Module):
            inner = self.meaning(owner, what.value, path, hops)
            try:
                return self.attribute(inner, what.attr, path, hops)
            except Missing:
                return None
        return _type_of_literal(what)

    def imported(self, module, level, name):
        """The module that an import statement refers to, if it can be parsed."""
        if level:
            parts = module.name.split(".")
            parts = parts[: len(parts) - level + (module.paths is not None)]
            name = ".".join([*parts, name] if name else parts)
        found = self.find(name) if name else None
        return found if isinstance(found, Module) else None

    def judge(self, what):
        """The answer for the meaning of a function's name."""
        if isinstance(what, Module):
            return {"not_callable": "module"}
        if isinstance(what, str):
            return {"not_callable": what}
        if isinstance(what, Class):
            return self.of_class(what)
        if not isinstance(what, tuple):
            return {}
        node, owner = what
        decorators = getattr(node, "decorator_list", [])
        names = [each.id if isinstance(each, ast.Name) else None for each in decorators]
        if isinstance(owner, Class) and names in (["staticmethod"], ["classmethod"]):
            return _signature(node, owner.module, skipped=names == ["classmethod"])
        if decorators:
            return {}
        return _signature(node, owner.module if isinstance(owner, Class) else owner, skipped=False)

    def of_class(self, what):
        names = what.scope.names
        if not what.is_plain or "__new__" in names or "__init__" not in names:
            return {}
        nodes = names["__init__"]
        is_certain = len(nodes) == 1 and isinstance(nodes[0], ast.FunctionDef) and not nodes[0].decorator_list
        return _signature(nodes[0], what.module, skipped=True, name=what.node.name) if is_certain else {}


def _signature(node, module, skipped, name=None):
    """The arguments that a function takes, its text, and its place."""
    args = node.args
    only_by_position = len(args.posonlyargs)
    positional = [*args.posonlyargs, *args.args]
    needed = len(positional) - len(args.defaults)
    keywords = list(zip(args.kwonlyargs, args.kw_defaults))
    parts = [each.arg + ("" if at < needed else "=...") for at, each in enumerate(positional)]
    if only_by_position:
        parts.insert(only_by_position, "/")
    parts += ["*" + args.vararg.arg] if args.vararg else ["*"] if keywords else []
    parts += [each.arg + ("=..." if default else "") for each, default in keywords]
    parts += ["**" + args.kwarg.arg] if args.kwarg else []
    if skipped and positional:
        del parts[0], positional[0]
        needed, only_by_position = max(needed - 1, 0), max(only_by_position - 1, 0)
    return {
        "signature": {
            "fewest": needed,
            "most": None if args.vararg else len(positional),
            "names": [each.arg for each in positional],
            "only_by_position": only_by_position,
            "keywords": [each.arg for each, default in keywords],
            "needed_keywords": [each.arg for each, default in keywords if default is None],
            "any_keyword": args.kwarg is not None,
        },
        "text": "%s(%s)" % (name or getattr(node, "name", "lambda"), ", ".join(parts)),
        "file": module.file,
        "line": node.lineno,
    }


def _type_of_literal(node):
    if isinstance(node, ast.Constant) and node.value is not Ellipsis:
        return type(node.value).__name__
    kinds = {"List": "list", "ListComp": "list", "Dict": "dict", "DictComp": "dict", "Set": "set", "SetComp": "set",
             "Tuple": "tuple", "JoinedStr": "str"}
    return kinds.get(type(node).__name__)


def _nearest(name, names):
    import difflib

    return next(iter(difflib.get_close_matches(name, sorted(names), 1)), None)


def main(folders, questions):
    warnings.simplefilter("ignore")
    checker = Checker(folders)
    return [checker.answer(each["module"], each["function"]) for each in questions]
