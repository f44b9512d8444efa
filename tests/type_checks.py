"""While tests run, functions of the package check the types and shapes that they are given.

beartype checks each argument and result; within a call, jaxtyping binds the axes of arrays to
sizes, so that "rows" of one argument are the "rows" of another. jaxtyping's own import hook does
so too, but for every function, arrays or not: it took half the time of tests with many calls. The
doctests of the package are checked where tests are run with them.
"""

import ast
import functools
import importlib.abc
import importlib.machinery
import inspect
import sys
import typing
from collections import Counter
from collections.abc import Callable
from types import CodeType
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped

__all__ = ["checked", "install"]

_CONF = BeartypeConf(is_pep484_tower=True, violation_type=TypeError)
_MOST = 8  # times that a function which another one makes anew at each call gets its checks
_NAME = "_checked_while_testing"
_made: Counter[tuple[str, str]] = Counter()


def install(package: str) -> None:
    """Check every function of a package that is not yet imported.

    Args:
        package: its name.
    """
    assert package not in sys.modules, f"{package} was imported before its checks were installed"
    sys.meta_path.insert(0, _Finder(package))


def checked(function: Any) -> Any:
    """Let a function check its arguments and result, or a dataclass those of its making.

    A function inside a function would be given its checks anew whenever the outer one is called,
    which took more than half the time of some tests; it gets them the first few times.

    Args:
        function: of the package, or a class.
    """
    if inspect.isclass(function):
        if "__dataclass_fields__" in vars(function) and "__init__" in vars(function):
            function.__init__ = checked(function.__init__)
        return function
    if "<locals>" in function.__qualname__:
        _made[function.__module__, function.__qualname__] += 1
        if _made[function.__module__, function.__qualname__] > _MOST:
            return function
    written = function.__annotations__
    function.__annotations__ = {name: _resolved(a, function) for name, a in written.items()}
    has_arrays = any(map(_has_arrays, function.__annotations__.values()))
    if has_arrays and inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__qualname__} checks its arrays while no axes are bound.")
    check = beartype(conf=_CONF)(function)
    function.__annotations__ = check.__annotations__ = written
    return _within_axes(check) if has_arrays else check


def _within_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):
            return function(*args, **kwargs)

    return bind


def _resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    """Evaluate what is written as text; Any where a name is for type checkers only."""
    if not isinstance(annotation, str) and "ForwardRef(" not in repr(annotation):
        return annotation
    holder = type("Holder", (), {"__annotations__": {"value": annotation}})
    try:
        found = typing.get_type_hints(holder, function.__globals__, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return Any
    return found["value"]


def _has_arrays(annotation: Any) -> bool:
    if inspect.isclass(annotation) and issubclass(annotation, AbstractArray):
        return True
    parts = typing.get_args(annotation)
    return any(map(_has_arrays, (p for p in parts if not isinstance(p, str | list))))


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


class _Decorate(ast.NodeTransformer):
    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.generic_visit(node)
        first = 1 if ast.get_docstring(node, clean=False) is not None else 0
        while first < len(node.body) and _is_future(node.body[first]):
            first += 1
        names = [ast.alias("checked", _NAME)]
        node.body.insert(first, ast.ImportFrom("tests.type_checks", names, level=0))
        return ast.fix_missing_locations(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        mark = ast.copy_location(ast.Name(_NAME, ast.Load()), node)
        node.decorator_list.append(mark)  # first of all: others may hide what is written
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        mark = ast.copy_location(ast.Name(_NAME, ast.Load()), node)
        node.decorator_list.insert(0, mark)  # last of all: `dataclass` makes what is checked
        return node


class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(  # type: ignore[override]
        self, data: Any, path: Any, *, _optimize: int = -1
    ) -> CodeType:
        tree = _Decorate().visit(ast.parse(data, path))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def path_stats(self, path: Any) -> Any:
        raise OSError("These files have no cache: it would be taken for that of the plain source.")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname.partition(".")[0] != self._package:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec
