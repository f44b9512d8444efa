"""Read a property of a network in VNN-LIB 1.0, and write a counterexample as the competition does.

A property describes what must not happen: a set of inputs `X` together with outputs `Y`. It is read
exactly (as fractions) into regions: a box of inputs, and alternatives of linear constraints. The
network has the property when no alternative of any region can be satisfied ("unsat").
"""

import gzip
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np

__all__ = ["Constraint", "Property", "PropertyError", "Region", "format_witness", "read_vnnlib"]

_TOKEN = re.compile(r"[()]|[^\s()]+")
_VARIABLE = re.compile(r"([XY])_(\d+)")
# Exponents are short, so that no number takes gigabytes to write out.
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_MAX_CASES = 10_000


class PropertyError(ValueError):
    """A property file that cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """`sum(inputs[i] * X_i) + sum(outputs[j] * Y_j) <= bound`.

    Attributes:
        inputs: (index, coefficient) of each input that occurs.
        outputs: (index, coefficient) of each output that occurs.
        bound: right-hand side.
    """

    inputs: tuple[tuple[int, Fraction], ...]
    outputs: tuple[tuple[int, Fraction], ...]
    bound: Fraction


@dataclass(frozen=True, slots=True)
class Region:
    """A box of inputs, and what must not happen in it.

    Attributes:
        low: least value of each input.
        high: largest value of each input.
        alternatives: the property is violated where all constraints of one alternative hold.
    """

    low: tuple[Fraction, ...]
    high: tuple[Fraction, ...]
    alternatives: tuple[tuple[Constraint, ...], ...]

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the least box of float64 numbers that holds every input of this region."""
        down = [_outward(value, -math.inf) for value in self.low]
        up = [_outward(value, math.inf) for value in self.high]
        return np.array(down), np.array(up)


@dataclass(frozen=True, slots=True)
class Property:
    """A set of inputs and outputs that a network must not reach.

    Attributes:
        n_inputs: number of input variables.
        n_outputs: number of output variables.
        regions: the set is their union. Empty ones are left out.
        n_empty: how many were left out because their box is empty.
        name: for people.
    """

    n_inputs: int
    n_outputs: int
    regions: tuple[Region, ...]
    n_empty: int = 0
    name: str = ""


def read_vnnlib(source: Path | str) -> Property:
    """Read a VNN-LIB 1.0 file.

    Constraints are linear in `X_i` and `Y_j`, joined by `and` and `or`; every input must be bounded
    on both sides in every case.

    Args:
        source: a `.vnnlib` file, plain or `.gz`.

    Returns:
        The property, in disjunctive form, numbers exactly as written.

    Raises:
        PropertyError: if the file has another form, leaves an input unbounded, or describes no
            input at all (every box is empty).
        FileNotFoundError: if there is no such file.
    """
    path = Path(source)
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise PropertyError(f"{path.name} is not a VNN-LIB text file: {error}") from error
    try:
        return _parse(text, path.name)
    except PropertyError as error:
        raise PropertyError(f"{path.name}: {error}") from error


def format_witness(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> str:
    """Write a counterexample in the competition's format.

    Args:
        x: values of the inputs.
        y: values of the outputs.

    Example:
        >>> print(format_witness([0.5], [1.0, -2.0]))
        ((X_0 0.5)
        (Y_0 1.0)
        (Y_1 -2.0))
    """
    lines = [f"(X_{i} {float(v)!r})" for i, v in enumerate(x)]
    lines += [f"(Y_{i} {float(v)!r})" for i, v in enumerate(y)]
    return "(" + "\n".join(lines) + ")"


def _parse(text: str, name: str) -> Property:
    counts = {"X": 0, "Y": 0}
    clauses: list[list[tuple[_Atom, ...]]] = []  # a conjunction of disjunctions of conjunctions
    for form in _forms(text):
        head = form[0] if form else ""
        if head in ("declare-const", "declare-fun"):
            named = _VARIABLE.fullmatch(str(form[1])) if len(form) > 1 else None
            if named is None:
                raise PropertyError(f"variables are called `X_0` or `Y_0`; got `{_show(form)}`.")
            counts[named[1]] = max(counts[named[1]], int(named[2]) + 1)
        elif head == "assert" and len(form) == 2:
            clauses.append(_disjuncts(form[1]))
        elif head not in ("set-logic", "set-info", "set-option", "check-sat", "get-model", "exit"):
            raise PropertyError(f"`{_show(form)}` is neither a declaration nor an assertion.")
    if not counts["X"] or not counts["Y"]:
        raise PropertyError("no inputs `X_0`, ... or no outputs `Y_0`, ... are declared.")
    if math.prod(len(clause) for clause in clauses) > _MAX_CASES:
        raise PropertyError(f"the disjunctions multiply to more than {_MAX_CASES} cases.")
    fixed = [clause[0] for clause in clauses if len(clause) == 1]
    shared = [atom for conjunction in fixed for atom in conjunction]
    base = _narrow(_Box({}, {}, ()), shared, counts)
    found: dict[tuple, tuple[_Box, list[tuple[Constraint, ...]]]] = {}
    n_empty = 0
    for choice in product(*(clause for clause in clauses if len(clause) > 1)):
        atoms = [atom for part in choice for atom in part]
        box = _narrow(base, atoms, counts)
        free = [i for i in range(counts["X"]) if i not in box.low or i not in box.high]
        if free:
            raise PropertyError(f"`X_{free[0]}` is not bounded on both sides in every case.")
        if box.impossible or any(box.low[i] > box.high[i] for i in box.low):
            n_empty += 1
        else:
            changed = (i for i in box.low if box.low[i] is not base.low.get(i))
            limits = [(i, box.low[i]) for i in changed]
            changed = (i for i in box.high if box.high[i] is not base.high.get(i))
            limits += [(-1 - i, box.high[i]) for i in changed]
            found.setdefault(tuple(sorted(limits)), (box, []))[1].append(box.constraints)
    if not found:
        raise PropertyError(
            "it describes no input at all: every box is empty. Every network has such a property; "
            "check the bounds."
        )
    order = range(counts["X"])
    regions = tuple(
        Region(tuple(box.low[i] for i in order), tuple(box.high[i] for i in order), tuple(parts))
        for box, parts in found.values()
    )
    return Property(counts["X"], counts["Y"], regions, n_empty, name)


@dataclass(frozen=True, slots=True)
class _Box:
    low: dict[int, Fraction]
    high: dict[int, Fraction]
    constraints: tuple[Constraint, ...]
    impossible: bool = False


_Form = str | list
_Atom = dict[str, Fraction]  # variable -> coefficient, "" -> constant; the sum is <= 0


def _forms(text: str) -> Iterator[list]:
    stack: list[list] = [[]]
    for line in text.splitlines():
        for token in _TOKEN.findall(line.partition(";")[0]):
            if token == "(":
                stack.append([])
            elif token == ")":
                if len(stack) == 1:
                    raise PropertyError("a closing parenthesis has no opening one.")
                done = stack.pop()
                stack[-1].append(done)
                if len(stack) == 1:
                    yield stack[0].pop()
            else:
                stack[-1].append(token)
    if len(stack) > 1:
        raise PropertyError("the file ends inside a parenthesis; is it cut off?")
    if stack[0]:
        raise PropertyError(f"`{stack[0][0]}` stands outside of any parenthesis.")


def _disjuncts(form: _Form) -> list[tuple[_Atom, ...]]:
    head = form[0] if isinstance(form, list) and form else None
    if head == "and":
        parts = [_disjuncts(part) for part in form[1:]]
        if math.prod(len(part) for part in parts) > _MAX_CASES:
            raise PropertyError(f"the disjunctions multiply to more than {_MAX_CASES} cases.")
        return [tuple(a for one in choice for a in one) for choice in product(*parts)]
    if head == "or":
        return [conjunction for part in form[1:] for conjunction in _disjuncts(part)]
    if head in ("<=", ">=", "<", ">", "=") and len(form) == 3:
        if isinstance(form[1], str) and form[1][0] in "XY" and isinstance(form[2], str):
            if form[2][0] not in "XY" and head != "=":  # most of a long file, read at once
                sign = 1 if head[0] == "<" else -1
                return [({form[1]: Fraction(sign), "": -sign * _linear(form[2])[""]},)]
        left, right = _linear(form[1]), _linear(form[2])
        below = _add(left, right, Fraction(-1))
        above = _add(right, left, Fraction(-1))
        # A strict bound is read as its closure: more must be excluded, so "holds" stays true.
        return [{"<": (below,), ">": (above,), "=": (below, above)}[str(head)[0]]]
    raise PropertyError(f"`{_show(form)}` is not a comparison, an `and` or an `or`.")


def _linear(form: _Form) -> _Atom:
    if isinstance(form, str):
        if _VARIABLE.fullmatch(form):
            return {form: Fraction(1)}
        if not _NUMBER.fullmatch(form):
            raise PropertyError(f"`{form}` is neither a variable nor a number.")
        return {"": Fraction(form)}
    head, parts = (form[0], [_linear(part) for part in form[1:]]) if form else ("", [])
    if head == "+":
        return _total(parts, Fraction(1))
    if head == "-" and len(parts) == 1:
        return _add({}, parts[0], Fraction(-1))
    if head == "-" and parts:
        return _add(parts[0], _total(parts[1:], Fraction(1)), Fraction(-1))
    if head in ("*", "/") and len(parts) == 2:
        constant = parts[1] if head == "/" or set(parts[1]) <= {""} else parts[0]
        other = parts[0] if constant is parts[1] else parts[1]
        factor = constant.get("", Fraction(0))
        if set(constant) <= {""} and not (head == "/" and not factor):
            return _add({}, other, 1 / factor if head == "/" else factor)
    raise PropertyError(f"`{_show(form)}` is not linear in the variables.")


def _total(parts: list[_Atom], factor: Fraction) -> _Atom:
    total: _Atom = {}
    for part in parts:
        total = _add(total, part, factor)
    return total


def _add(left: _Atom, right: _Atom, factor: Fraction) -> _Atom:
    total = dict(left)
    for variable, coefficient in right.items():
        total[variable] = total.get(variable, Fraction(0)) + factor * coefficient
    return total


def _narrow(box: _Box, atoms: Sequence[_Atom], counts: dict[str, int]) -> _Box:
    low, high, rest = dict(box.low), dict(box.high), list(box.constraints)
    impossible = box.impossible
    for atom in atoms:
        terms: dict[str, list[tuple[int, Fraction]]] = {"X": [], "Y": []}
        for variable, coefficient in atom.items():
            if variable and coefficient:
                kind, index = variable[0], int(variable[2:])
                if index >= counts[kind]:
                    raise PropertyError(f"`{variable}` is used but not declared.")
                terms[kind].append((index, coefficient))
        bound = -atom.get("", Fraction(0))
        if not terms["X"] and not terms["Y"]:
            impossible |= bound < 0
        elif terms["Y"] or len(terms["X"]) > 1:
            inputs, outputs = tuple(sorted(terms["X"])), tuple(sorted(terms["Y"]))
            rest.append(Constraint(inputs, outputs, bound))
        else:
            ((i, coefficient),) = terms["X"]
            limit = bound / coefficient
            if coefficient > 0:
                high[i] = min(limit, high.get(i, limit))
            else:
                low[i] = max(limit, low.get(i, limit))
    return _Box(low, high, tuple(rest), impossible)


def _outward(value: Fraction, direction: float) -> float:
    try:
        nearest = float(value)
    except OverflowError:
        return math.copysign(math.inf, value)  # refused later: an input must be bounded
    beyond = Fraction(nearest) < value if direction > 0 else Fraction(nearest) > value
    return math.nextafter(nearest, direction) if beyond else nearest


def _show(form: _Form) -> str:
    if isinstance(form, str):
        return form
    text = "(" + " ".join(_show(part) for part in form) + ")"
    return text if len(text) < 80 else text[:76] + "...)"
