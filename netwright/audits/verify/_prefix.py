"""The layers of a network bounded so far, over one box; neurons of known sign are substituted.

As in `_nodes`, an unfixed neuron is a linear function of v = (x, 1, outputs of unfixed neurons of
earlier layers); here there is one box, and one such network that all sub-problems share.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._rounding import TINY, UNIT, gamma

__all__ = ["Layer", "Prefix", "Rows"]

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Linear functions of v.

    Attributes:
        plane: coefficients, (rows, columns).
        error: bound of |plane v - true value|, (rows,).
        size: bound of |plane| |v|, (rows,).
    """

    plane: Array
    error: Array
    size: Array

    def take(self, places: Array, sign: float = 1.0) -> "Rows":
        """Pick rows.

        Args:
            places: indices.
            sign: 1, or -1 for the negated rows.
        """
        return Rows(sign * self.plane[places], self.error[places], self.size[places])

    def both_signs(self) -> "Rows":
        """Return the rows, and below them the negated ones."""
        twice = np.concatenate([self.error] * 2), np.concatenate([self.size] * 2)
        return Rows(np.concatenate([self.plane, -self.plane]), *twice)


@dataclass(frozen=True, eq=False)
class Layer:
    """The unfixed neurons of one layer.

    Attributes:
        rows: what they are before their ReLU, (m, columns).
        least: lower bounds, all negative.
        most: upper bounds, all positive.
    """

    rows: Rows
    least: Array
    most: Array

    @cached_property
    def slope_up(self) -> Array:
        """Slope of the upper line, (m,)."""
        return self.most / (self.most - self.least)

    @cached_property
    def lift(self) -> Array:
        """Offset of the upper line, rounded up, (m,)."""
        exact = np.maximum(-self.least * self.slope_up, self.most - self.slope_up * self.most)
        return exact + 4 * UNIT * (self.most - self.least)

    @cached_property
    def slope_low(self) -> Array:
        """Slope of the lower line that leaves the least area, 0 or 1, (m,)."""
        return (self.most > -self.least).astype(float)

    @cached_property
    def plane32(self) -> Array:
        """The rows in float32, for searching multipliers."""
        return self.rows.plane.astype(np.float32)


@dataclass(slots=True, eq=False)
class Prefix:
    """A box and the layers behind it.

    Attributes:
        network: the whole network.
        low: least inputs.
        high: largest inputs.
        layers: those bounded so far.
    """

    network: AffineReLU
    low: Array
    high: Array
    layers: list[Layer] = field(default_factory=list)
    _carry: Rows = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the inputs themselves."""
        n = len(self.low)
        reach = np.maximum(np.abs(self.low), np.abs(self.high))
        self._carry = Rows(np.eye(n, n + 1), np.zeros(n), reach)

    @property
    def widths(self) -> list[int]:
        """Unfixed neurons of each layer."""
        return [len(layer.least) for layer in self.layers]

    def next_rows(self) -> Rows:
        """Return the neurons of the next layer, or the outputs behind the last one."""
        k, carry = len(self.layers), self._carry
        weight, bias = self.network.weights[k], self.network.biases[k]
        plane = weight @ carry.plane
        plane[:, len(self.low)] += bias
        size = np.abs(weight) @ carry.size + np.abs(bias)
        rounding = gamma(weight.shape[1] + 4)
        error = np.abs(weight) @ carry.error + rounding * size
        error += self.network.layer_error(k, (carry.size + carry.error)[None])[0]
        return Rows(plane, error * (1 + rounding) + TINY, size * (1 + rounding))

    def append(self, rows: Rows, least: Array, most: Array) -> None:
        """Close the next layer.

        Args:
            rows: as `next_rows` gave them.
            least: lower bounds of all its neurons.
            most: upper bounds.
        """
        active, unfixed = least >= 0, (least < 0) & (most > 0)
        kept = np.nonzero(unfixed)[0]
        columns = rows.plane.shape[1]
        self.layers.append(Layer(rows.take(kept), least[kept], most[kept]))
        plane = np.zeros((len(least), columns + len(kept)))
        plane[active, :columns] = rows.plane[active]
        plane[kept, columns + np.arange(len(kept))] = 1.0
        size = np.where(active, rows.size, np.where(unfixed, most, 0.0))
        self._carry = Rows(plane, np.where(active, rows.error, 0.0), size)
