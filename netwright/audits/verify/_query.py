"""One question to a prover: a box, and rows of which some must not be negative together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from netwright.audits.verify._vnnlib import Constraint, Property, PropertyError, Region

__all__ = ["Query", "queries", "satisfied"]

_LARGEST = 2**53
_TRUE = Constraint((), (), Fraction(1))  # an alternative without rows holds everywhere


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Is there an `x` in a box with all rows of one alternative <= 0?

    Row r is `outputs[r] . y + inputs[r] . x + offset[r]`; it is never above the true row, which may
    have an offset that float64 cannot hold.

    Attributes:
        low: least input, (inputs,).
        high: largest input, (inputs,).
        outputs: coefficients of the network's outputs, (rows, outputs).
        inputs: coefficients of its inputs, (rows, inputs).
        offset: (rows,).
        member: which rows each alternative has, bool (alternatives, rows).
        region: what the query was made of, exactly; None for a query made of arrays.
    """

    low: np.ndarray
    high: np.ndarray
    outputs: np.ndarray
    inputs: np.ndarray
    offset: np.ndarray
    member: np.ndarray
    region: Region | None = None

    def __post_init__(self) -> None:
        """Check the box.

        Raises:
            ValueError: if it is empty, unbounded, or not made of numbers.
        """
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            raise ValueError(
                "Every input must have finite bounds; got an infinite one or no number."
            )
        if (self.low > self.high).any():
            i = int(np.argmax(self.low > self.high))
            raise ValueError(
                f"The box is empty: input {i} has low {self.low[i]} above high {self.high[i]}."
            )

    def rows(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Evaluate the rows.

        Args:
            x: inputs, (batch, inputs).
            y: the network's outputs there, (batch, outputs).
        """
        return y @ self.outputs.T + x @ self.inputs.T + self.offset

    def violated(self, rows: np.ndarray) -> np.ndarray:
        """Say where all rows of some alternative are <= 0, (batch,).

        Args:
            rows: as `rows` returns them, (batch, rows).
        """
        return np.all((rows[:, None] <= 0) | ~self.member, axis=2).any(1)


def queries(prop: Property) -> list[Query]:
    """Put a property into arrays, one query a region.

    Args:
        prop: the property.

    Raises:
        PropertyError: if a coefficient is too long for float64.
    """
    return [_query(region, prop) for region in prop.regions]


def satisfied(prop: Property, x: Sequence[float], y: Sequence[float]) -> bool:
    """Say, in exact arithmetic, whether a point lies in the set that must not be reached.

    Args:
        prop: the property.
        x: inputs.
        y: outputs at `x`.
    """
    if not all(math.isfinite(v) for v in (*x, *y)):
        return False
    xs, ys = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    for region in prop.regions:
        inside = all(a <= v <= b for a, v, b in zip(region.low, xs, region.high, strict=True))
        if inside and any(
            all(
                sum(c * xs[i] for i, c in row.inputs) + sum(c * ys[j] for j, c in row.outputs)
                <= row.bound
                for row in alternative
            )
            for alternative in region.alternatives
        ):
            return True
    return False


def _query(region: Region, prop: Property) -> Query:
    parts = [part or (_TRUE,) for part in region.alternatives]
    unique = list(dict.fromkeys(row for part in parts for row in part))
    place = {row: i for i, row in enumerate(unique)}
    outputs = np.zeros((len(unique), prop.n_outputs))
    inputs = np.zeros((len(unique), prop.n_inputs))
    offset = np.zeros(len(unique))
    for i, row in enumerate(unique):
        # Times the common denominator, coefficients are whole numbers and exact.
        scale = math.lcm(*(c.denominator for _, c in (*row.inputs, *row.outputs)))
        for array, terms in ((inputs, row.inputs), (outputs, row.outputs)):
            for j, c in terms:
                array[i, j] = float(c if _exact(c) else c * scale)
        exact = all(_exact(c) for _, c in (*row.inputs, *row.outputs))
        if not exact:
            for array, terms in ((inputs, row.inputs), (outputs, row.outputs)):
                for j, c in terms:
                    if abs(c * scale) > _LARGEST:
                        raise PropertyError(f"The coefficient {float(c)} is too long for float64.")
                    array[i, j] = float(c * scale)
        offset[i] = _below(-row.bound * (1 if exact else scale))
    member = np.zeros((len(region.alternatives), len(unique)), bool)
    for d, part in enumerate(parts):
        member[d, [place[row] for row in part]] = True
    low, high = region.box()
    return Query(low, high, outputs, inputs, offset, member, region)


def _exact(value: Fraction) -> bool:
    try:
        return Fraction(float(value)) == value
    except OverflowError:
        return False


def _below(value: Fraction) -> float:
    try:
        nearest = float(value)
    except OverflowError as error:
        raise PropertyError("A bound is too large for float64.") from error
    return math.nextafter(nearest, -math.inf) if Fraction(nearest) > value else nearest
