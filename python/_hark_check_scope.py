"""The names that the statements of a module or class bind, as far as the syntax shows."""
import ast


class Scope:
    """For each name, its bindings: a definition, an expression, an import as (level, module, name), or None if the value is
    unknown. A name that is bound more than once has several.
    """

    def __init__(self, body, text):
        self.names, self.stars = {}, []
        self.text = text
        self.collect(body)

    def bind(self, name, what):
        self.names.setdefault(name, []).append(what)

    def collect(self, body):
        for statement in body:
            kind = type(statement)
            if kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef):
                self.bind(statement.name, statement)
            elif kind is ast.Import:
                for alias in statement.names:
                    whole = alias.name if alias.asname else alias.name.split(".")[0]
                    self.bind(alias.asname or whole, (0, whole, None))
            elif kind is ast.ImportFrom:
                for alias in statement.names:
                    origin = statement.level, statement.module or "", alias.name
                    if alias.name == "*":
                        self.stars.append(origin)
                    else:
                        self.bind(alias.asname or alias.name, origin)
            elif kind is ast.Assign and all(isinstance(target, ast.Name) for target in statement.targets):
                for target in statement.targets:
                    self.bind(target.id, statement.value)
            elif kind is ast.AnnAssign and isinstance(statement.target, ast.Name):
                if statement.value:
                    self.bind(statement.target.id, statement.value)
            else:
                self.collect_others(statement)

    def collect_others(self, statement):
        """Collects from blocks and from all other syntax that may bind a name."""
        for field, value in ast.iter_fields(statement):
            if field in ("body", "orelse", "finalbody") and isinstance(value, list):
                self.collect(value)
            elif field in ("handlers", "cases"):
                for part in value:
                    self.bind_all(getattr(part, "pattern", None))
                    if isinstance(getattr(part, "name", None), str):
                        self.bind(part.name, None)
                    self.collect(part.body)
            elif isinstance(value, ast.AST):
                self.bind_all(value)
            elif isinstance(value, list):
                for each in value:
                    self.bind_all(each)

    def bind_all(self, part):
        """Binds every name that an expression or pattern assigns, to an unknown value."""
        for node in ast.walk(part) if isinstance(part, ast.AST) else ():
            if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
                self.bind(node.id, None)
            elif isinstance(getattr(node, "name", None), str):
                self.bind(node.name, None)
