"""Check a proof without trusting the prover: numpy and fractions, and nothing of Netwright.

A proof is a tree of cuts of the input box. This file walks the tree, bounds the network on every
leaf with its own linear bounds, and accepts if every leaf excludes every alternative. The halves of
a cut are formed here, so leaves cover the box by construction.

With `exact=True` every number is a whole number times a power of two; nothing is rounded but bounds
of neurons and numbers of the property, outward to multiples of 2**-60. Otherwise it is float64, and
every matrix product gives away n * 2**-52 times the sum of absolute values, twice what n roundings
can do.
"""

from fractions import Fraction

import numpy as np

__all__ = ["ProofError", "check_tree", "leaf_holds"]

_GRID = 60  # bounds of neurons are kept to this many binary places
_SLOPE = 24  # slopes of upper lines are rounded to this many


class ProofError(ValueError):
    """A proof that does not show what it claims; the message says at which leaf."""


class _Exact:
    """Arrays of Python integers with a common power of two: (integers, places)."""

    def load(self, values):
        values = np.asarray(values, dtype=object)
        exact = [Fraction(v) for v in values.ravel()]
        places = max((f.denominator.bit_length() - 1 for f in exact), default=0)
        if any(f.denominator & (f.denominator - 1) for f in exact):
            raise ProofError("Weights, coefficients and cuts must be binary fractions.")
        whole = [f.numerator * (1 << places) // f.denominator for f in exact]
        return np.array(whole, dtype=object).reshape(values.shape), places

    def times(self, a, b):
        return a[0] * b[0], a[1] + b[1]

    def product(self, a, b):
        return a[0] @ b[0], a[1] + b[1]

    def plus(self, a, b):
        places = max(a[1], b[1])
        return a[0] * (1 << (places - a[1])) + b[0] * (1 << (places - b[1])), places

    def parts(self, a):
        return (np.maximum(a[0], 0), a[1]), (np.minimum(a[0], 0), a[1])

    def numbers(self, a):
        return [Fraction(int(v), 1 << a[1]) for v in a[0]]

    def take(self, a, rows):
        return a[0][rows], a[1]


class _Rounded:
    """Arrays of float64 with bounds of their errors: (values, errors)."""

    def load(self, values):
        if isinstance(values, np.ndarray) and values.dtype == np.float64:
            return values, np.zeros(values.shape)
        given = np.asarray(values, dtype=object)
        array = given.astype(float)
        error = [
            abs(Fraction(v) - Fraction(f)) for v, f in zip(given.flat, array.flat, strict=True)
        ]
        return array, np.array(error, dtype=float).reshape(array.shape) * 1.001

    def times(self, a, b):
        value, error = a[0] * b[0], a[1] * (abs(b[0]) + b[1]) + abs(a[0]) * b[1]
        return value, (error + abs(value) * 2.0**-52) * (1 + 2.0**-48) + 1e-300

    def product(self, a, b):
        n, size = a[0].shape[-1] + 2, abs(a[0]) @ abs(b[0])
        error = a[1] @ (abs(b[0]) + b[1]) + abs(a[0]) @ b[1]
        return a[0] @ b[0], (error + size * n * 2.0**-52) * (1 + n * 2.0**-48) + 1e-300

    def plus(self, a, b):
        value = a[0] + b[0]
        return value, (a[1] + b[1] + abs(value) * 2.0**-52) * (1 + 2.0**-48)

    def parts(self, a):  # errors belong to either part; they are counted with both lines
        return (np.maximum(a[0], 0), a[1]), (np.minimum(a[0], 0), a[1])

    def numbers(self, a):
        if not (np.isfinite(a[0]).all() and np.isfinite(a[1]).all()):
            raise ProofError("A bound is not a finite number.")
        return [Fraction(v) - Fraction(e) for v, e in zip(*(x.tolist() for x in a), strict=True)]

    def take(self, a, rows):
        return a[0][rows], a[1][rows]


def check_tree(weights, biases, region, tree, *, exact=False):
    """Check that a tree of cuts excludes every alternative on a box.

    Args:
        weights: of each layer, float64 arrays (outputs, inputs); ReLU between layers.
        biases: of each layer.
        region: (low, high, alternatives); an alternative is a list of rows (output coefficients,
            input coefficients, bound), and is excluded if on no point all rows are <= their bounds.
        tree: in preorder, (axis, place of the cut) for a cut, None for a leaf.
        exact: use exact arithmetic.

    Returns:
        The number of leaves.

    Raises:
        ProofError: if a leaf is not excluded, or the tree is not a tree.
    """
    ops = _Exact() if exact else _Rounded()
    layers = [(ops.load(w), ops.load(b)) for w, b in zip(weights, biases, strict=True)]
    low, high, alternatives = region
    stack = [([_down(v) for v in low], [-_down(-v) for v in high], {})]
    n_leaves = 0
    for entry in tree:
        if not stack:
            raise ProofError("The tree goes on after its last leaf.")
        low, high, known = stack.pop()
        known = dict(known)  # the other half has the same one
        if entry is None:
            n_leaves += 1
            if lacking := _lacking(ops, layers, low, high, alternatives, known):
                place = f"from {[float(v) for v in low]} to {[float(v) for v in high]}"
                raise ProofError(f"Leaf {n_leaves}, {place}, allows alternative {lacking[0]}.")
            continue
        axis, cut = int(entry[0]), Fraction(entry[1])
        _lacking(ops, layers, low, high, [], known)  # what is fixed here stays fixed below
        stack.append((low[:axis] + [max(cut, low[axis])] + low[axis + 1 :], high, known))
        stack.append((low, high[:axis] + [min(cut, high[axis])] + high[axis + 1 :], known))
    if stack:
        raise ProofError(f"The tree ends with {len(stack)} branches open.")
    return n_leaves


def leaf_holds(weights, biases, low, high, alternatives):
    """Say whether one box excludes every alternative, in rounded arithmetic; as in `check_tree`.

    Args:
        weights: of each layer.
        biases: of each layer.
        low: least inputs.
        high: largest inputs.
        alternatives: what to exclude.
    """
    ops = _Rounded()
    layers = [(ops.load(w), ops.load(b)) for w, b in zip(weights, biases, strict=True)]
    low, high = [_down(v) for v in low], [-_down(-v) for v in high]
    return not _lacking(ops, layers, low, high, alternatives, {})


def _lacking(ops, layers, low, high, alternatives, known):
    """Bound layer by layer, adding neurons of fixed sign to `known`; list what stays possible."""
    box, lines, minus = (ops.load(low), ops.load(high)), [], ops.load(-1)
    for k, (weight, bias) in enumerate(layers[:-1]):
        bounds = [known.get((k, i)) for i in range(len(bias[0]))]
        rows = [i for i, b in enumerate(bounds) if b is None]
        if rows:
            w, b = ops.take(weight, rows), ops.take(bias, rows)
            below = _lowest(ops, layers, lines, w, b, box)
            above = _lowest(ops, layers, lines, ops.times(w, minus), ops.times(b, minus), box)
            for i, least, negated in zip(rows, map(_down, below), map(_down, above), strict=True):
                bounds[i] = "on" if least >= 0 else "off" if negated >= 0 else (least, -negated)
                if bounds[i] in ("on", "off"):
                    known[k, i] = bounds[i]
        lines.append([ops.load(part) for part in zip(*map(_line, bounds), strict=True)])
    lacking, (weight, bias) = [], layers[-1]
    for number, alternative in enumerate(alternatives):
        out, direct = (ops.load([row[i] for row in alternative]) for i in (0, 1))
        b = ops.plus(ops.product(out, bias), ops.load([_down(-row[2]) for row in alternative]))
        w = ops.product(out, weight)
        if not any(v > 0 for v in _lowest(ops, layers, lines, w, b, box, direct)):
            lacking.append(number)
    return lacking


def _line(bounds):
    """Slope below, slope above and offset above of relu between bounds."""
    if bounds in ("on", "off"):
        return int(bounds == "on"), int(bounds == "on"), 0
    least, most = bounds
    slope = Fraction(round(most / (most - least) * (1 << _SLOPE)), 1 << _SLOPE)
    return int(most > -least), slope, max(-slope * least, most - slope * most)


def _lowest(ops, layers, lines, weight, bias, box, direct=None):
    """Bound rows `weight r + bias` (+ `direct x`) from below, r being what the last line makes."""
    for (w, b), (low, up, lift) in zip(
        reversed(layers[: len(lines)]), reversed(lines), strict=True
    ):
        positive, negative = ops.parts(weight)
        bias = ops.plus(bias, ops.product(negative, lift))
        weight = ops.plus(ops.times(positive, low), ops.times(negative, up))
        weight, bias = ops.product(weight, w), ops.plus(bias, ops.product(weight, b))
    positive, negative = ops.parts(weight if direct is None else ops.plus(weight, direct))
    total = ops.plus(ops.product(positive, box[0]), ops.product(negative, box[1]))
    return ops.numbers(ops.plus(total, bias))


def _down(value):
    value = Fraction(value)
    return (
        Fraction(value * (1 << _GRID) // 1, 1 << _GRID)
        if (1 << _GRID) % value.denominator
        else value
    )
