"""Gather definitions of this library, and all that they need, into one text that stands alone."""

import ast
import builtins
import importlib
import inspect
import re
import symtable
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

__all__ = ["Bundle"]

_HOME = __name__.partition(".")[0]
_AXES = re.compile(r'\b(?:Float|Int|Bool|Num|Shaped)\[Tensor, "[^"]*"\]')
_SIGNATURE = re.compile(r"^( *def \w+\()\n\s+([^\n]+?),?\n\s*(\) -> [^\n]+:)$", re.MULTILINE)
_WIDEST = 100
_REMARKS = re.compile(r" *# (?:type: ignore|noqa|fmt:)[^#\n]*")  # to tools
_OUTSIDE = {"torch"}  # what the text may import beside the standard library
_NOT_NEEDED = {"extra_repr", "initialise"}
_RENAMED = {"ColumnLike": "Column"}  # a protocol, and the class that the text has
_STANDARD = {"collections", "dataclasses", "functools", "itertools", "json", "math", "pathlib",
             "sys", "typing"}  # fmt: skip


@dataclass
class Bundle:
    """Definitions in the order in which they can be read, and the imports that they need.

    Attributes:
        imports: whole statements.
        definitions: source text by name, what is used before what uses it.
    """

    imports: set[str] = field(default_factory=set)
    definitions: dict[str, str] = field(default_factory=dict)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def add(self, name: str, module: str) -> None:
        """Take a definition in, with everything it refers to.

        Args:
            name: of a class, function or constant.
            module: where it is defined or imported.

        Raises:
            ValueError: if something it refers to is neither of this library, nor of torch, nor of
                the standard library.
        """
        if (module, name) in self._seen:
            return
        self._seen.add((module, name))
        statement = _statements(module).get(name)
        if statement is None:
            raise ValueError(f"`{name}` is not defined at the top of `{module}`.")
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self._import(name, statement)
            return
        text = _text(module, statement)
        for used in _names_in(text):
            if used != name and used in _statements(module):
                self.add(used, module)
            elif used in _RENAMED.values():
                self.add(used, f"{_HOME}.data._schema")
        if self.definitions.setdefault(name, text) != text:
            raise ValueError(f"`{name}` is defined twice, and differently, in what is gathered.")

    def add_object(self, kind: type) -> None:
        """Take a class in.

        Args:
            kind: a class of this library.
        """
        self.add(kind.__name__, kind.__module__)

    def text(self) -> str:
        """Return imports and definitions as source text."""
        return _imports(self.imports) + "\n\n\n" + _joined(list(self.definitions.values()))

    def _import(self, name: str, statement: ast.Import | ast.ImportFrom) -> None:
        alias = next(a for a in statement.names if (a.asname or a.name) == name)
        home = statement.module if isinstance(statement, ast.ImportFrom) else alias.name
        assert home is not None
        if home.split(".")[0] == _HOME:
            self.add(alias.name, home)
            return
        if home.split(".")[0] not in _OUTSIDE | _STANDARD:
            raise ValueError(f"`{name}` comes from `{home}`, which a text that stands alone lacks.")
        renamed = f" as {alias.asname}" if alias.asname else ""
        if isinstance(statement, ast.Import):
            self.imports.add(f"import {alias.name}{renamed}")
        else:
            self.imports.add(f"from {home} import {alias.name}{renamed}")


def _imports(statements: set[str]) -> str:
    """Order imports, one line a module: first the standard library, then torch."""
    taken: dict[str, list[str]] = {}
    for statement in sorted(statements):
        home, _, name = statement.removeprefix("from ").partition(" import ")
        taken.setdefault(home, []).append(name)
    groups = ([], [])
    for home, names in sorted(taken.items(), key=lambda item: (bool(item[1][0]), item)):
        line = f"from {home} import {', '.join(names)}" if names[0] else home
        groups[home.removeprefix("import ").startswith("torch")].append(line)
    return "\n\n".join("\n".join(group) for group in groups if group)


def _joined(definitions: list[str]) -> str:
    parts = []
    for before, text in zip(["", *definitions], definitions, strict=False):
        close = _is_constant(text) and (not before or _is_constant(before))
        parts.append(("\n" if close else "\n\n\n") * bool(before) + text)
    return "".join(parts)


def _is_constant(text: str) -> bool:
    return not text.startswith(("class ", "def ", "@"))


@cache
def _parsed(module: str) -> tuple[ModuleType, str, ast.Module]:
    loaded = importlib.import_module(module)
    source = inspect.getsource(loaded)
    return loaded, source, ast.parse(source)


@cache
def _statements(module: str) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for statement in _parsed(module)[2].body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name: statement for alias in statement.names}
        elif isinstance(statement, ast.Assign):
            found |= {t.id: statement for t in statement.targets if isinstance(t, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found[statement.target.id] = statement
    return found


def _text(module: str, statement: ast.stmt) -> str:
    """Cut a statement out of its module; axis names and methods nobody calls are left out."""
    lines = _parsed(module)[1].splitlines()
    dropped: set[int] = set()
    if isinstance(statement, ast.ClassDef):
        for method in _unneeded(statement):
            dropped |= set(range(_first_line(method), (method.end_lineno or 0) + 1))
    kept = [
        line
        for number, line in enumerate(lines, start=1)
        if _first_line(statement) <= number <= (statement.end_lineno or 0) and number not in dropped
    ]
    text = re.sub(r"\n{2,}", "\n\n", "\n".join(kept)).rstrip()
    text = _SIGNATURE.sub(_on_one_line, _REMARKS.sub("", _AXES.sub("Tensor", text)))
    for old, new in _RENAMED.items():
        text = re.sub(rf"\b{old}\b", new, text)
    return text


def _on_one_line(signature: re.Match[str]) -> str:
    """Join a signature that fits one line now that its axes are gone."""
    joined = "".join(signature.groups())
    return joined if len(joined) <= _WIDEST else signature.group()


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _unneeded(kind: ast.ClassDef) -> list[ast.FunctionDef]:
    """Methods of a module that neither its making nor its running calls."""
    methods = {node.name: node for node in kind.body if isinstance(node, ast.FunctionDef)}
    if "forward" not in methods and "__init__" not in methods:
        return []
    if "backward" in methods:  # an autograd function
        return []
    needed, waiting = set(), [name for name in ("__init__", "forward") if name in methods]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        waiting += [
            node.attr
            for node in ast.walk(methods[name])
            if isinstance(node, ast.Attribute) and node.attr in methods
        ]
    return [node for name, node in methods.items() if name not in needed or name in _NOT_NEEDED]


def _names_in(text: str) -> list[str]:
    """Names of its surroundings that a definition uses; not those of arguments and variables."""
    top = symtable.symtable(text, "definition", "exec")
    found = [s.get_name() for s in top.get_symbols() if s.is_referenced()]
    inner = list(top.get_children())
    while inner:
        scope = inner.pop()
        found += [s.get_name() for s in scope.get_symbols() if s.is_global()]
        inner += scope.get_children()
    return sorted({name for name in found if not hasattr(builtins, name)})
