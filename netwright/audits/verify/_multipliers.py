"""Bound linear functions of a layer's outputs by optimised slopes and multipliers of split neurons.

Paper:    Xu, Zhang, Wang, Wang, Jana, Lin, Hsieh. Fast and Complete: Enabling Complete Neural
          Network Verification with Rapid and Massively Parallel Incomplete Verifiers (alpha-CROWN).
          ICLR 2021, arXiv:2011.13824; Wang et al. Beta-CROWN: Efficient Bound Propagation with
          Per-neuron Split Constraints. NeurIPS 2021, arXiv:2103.06624, equation 8.
Departs:  works on reduced layers (see `_prefix`); the gradient is written out: that of the bound
          with respect to a slope or multiplier is a value of the relaxed network at the minimising
          corner. Slopes and multipliers are searched in float32; the bound they give is then
          computed in float64, and every line moved outward by what its substitution can round.
Notation: slopes = alpha, weights = beta, signs = S (1: z >= 0, -1: z <= 0, 0: not split).
"""

from dataclasses import dataclass

import numpy as np

from netwright.audits.verify._prefix import Prefix, Rows
from netwright.audits.verify._rounding import TINY, gamma

__all__ = ["Bounded", "optimise"]

Array = np.ndarray
_CHUNK = 192  # rows whose arrays fit a core's cache


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """Bounds of R rows over the box, and over the part of it where split neurons have their signs.

    Attributes:
        low: sound lower bounds, float64 (R,).
        slopes: of the lower lines, float32 (R, M).
        weights: multipliers of split neurons, float32 (R, M).
        coefficient: of every unfixed neuron's output in the bound, float32 (R, M).
        corner: input where the relaxed function is least, float32 (R, inputs).
    """

    low: Array
    slopes: Array
    weights: Array
    coefficient: Array
    corner: Array


def optimise(
    prefix: Prefix,
    rows: Rows,
    *,
    steps: int,
    signs: Array | None = None,
    slopes: Array | None = None,
    weights: Array | None = None,
    step_size: float = 0.2,
) -> Bounded:
    """Bound rows from below.

    Args:
        prefix: the layers before them.
        rows: R linear functions of the outputs of the last of those.
        steps: steps of Adam; 0 takes the slopes as they are.
        signs: of split neurons, int8 (R, M), M being all unfixed neurons; None for none.
        slopes: where to begin, (R, M); None for those that leave the least area.
        weights: where to begin, (R, M); None for zeros.
        step_size: of the first step, of slopes.
    """
    R, M = len(rows.error), sum(prefix.widths)
    begin = np.concatenate([np.empty(0), *(layer.slope_low for layer in prefix.layers)])
    parts = []
    for start in range(0, R, _CHUNK):
        here = slice(start, start + _CHUNK)
        n = len(rows.error[here])
        a = np.tile(begin, (n, 1)) if slopes is None else slopes[here]
        b = np.zeros((n, M)) if weights is None else weights[here]
        s = None if signs is None else signs[here]
        parts.append(_chunk(prefix, rows.take(np.arange(R)[here]), steps, s, a, b, step_size))
    joined = (np.concatenate([getattr(p, name) for p in parts]) for name in Bounded.__slots__)
    return Bounded(*joined)


def _chunk(
    prefix: Prefix,
    rows: Rows,
    steps: int,
    signs: Array | None,
    slopes: Array,
    weights: Array,
    step_size: float,
) -> Bounded:
    work = _Work(prefix, signs, np.float32)
    plane = rows.plane.astype(np.float32)
    slopes = work.fix(slopes.astype(np.float32))
    split = signs is not None
    weights = weights.astype(np.float32) * (np.abs(signs) if split else 0)
    if steps:
        slopes, weights = _ascend(work, plane, slopes, weights, steps, step_size, split)
    return _certify(prefix, rows, signs, slopes, weights)


def _ascend(
    work: "_Work",
    plane: Array,
    slopes: Array,
    weights: Array,
    steps: int,
    step_size: float,
    split: bool,
) -> tuple[Array, Array]:
    best = np.full(len(plane), -np.inf, np.float32)
    best_slopes, best_weights = slopes.copy(), weights.copy()
    moments = [np.zeros_like(slopes) for _ in range(4)]
    scale = None
    for step in range(steps + 1):
        low, coefficients, corner = work.backward(plane, slopes, weights)
        better = (low > best)[:, None]
        best = np.maximum(best, low)
        np.copyto(best_slopes, slopes, where=better)
        np.copyto(best_weights, weights, where=better)
        if step == steps:
            break
        values = work.forward(plane.shape[1], coefficients, corner, slopes)
        rate, debias, debias2 = (
            step_size * 0.97**step,
            1 - 0.9 ** (step + 1),
            1 - 0.99 ** (step + 1),
        )
        up = np.maximum(coefficients, 0) * values
        up *= work.free
        slopes += _adam(up, moments[0], moments[1], rate / debias, debias2)
        np.clip(slopes, 0, 1, out=slopes)
        if split:
            if scale is None:  # multipliers have the size of coefficients
                scale = work.layer_means(np.abs(coefficients)) * (0.5 * step_size)
            signed = values * work.minus_signs
            move = _adam(signed, moments[2], moments[3], 0.97**step / debias, debias2)
            weights += scale * move
            np.maximum(weights, 0, out=weights)
    return best_slopes, best_weights


def _adam(gradient: Array, mean: Array, square: Array, rate: float, debias2: float) -> Array:
    mean *= 0.9
    mean += 0.1 * gradient
    square *= 0.99
    gradient *= gradient
    gradient *= 0.01
    square += gradient
    size = np.sqrt(square / debias2)
    size += 1e-9
    return rate * mean / size


class _Work:
    """Lines of all layers for R rows, whose split neurons are exact."""

    def __init__(self, prefix: Prefix, signs: Array | None, dtype: type) -> None:
        self.prefix = prefix
        layers = prefix.layers
        empty = [np.empty(0)]
        self.slope_up = np.concatenate(empty + [y.slope_up for y in layers]).astype(dtype)[None]
        self.lift = np.concatenate(empty + [y.lift for y in layers]).astype(dtype)[None]
        self.free = np.ones(1, dtype)
        self.signs = signs
        if signs is not None:
            self.free = (signs == 0).astype(dtype)
            self.minus_signs = -signs.astype(dtype)
            self.slope_up = np.where(signs == 0, self.slope_up, signs > 0).astype(dtype)
            self.lift = self.free * self.lift
        ends = np.cumsum([0, *prefix.widths])
        self.spans = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        self.centre = ((prefix.low + prefix.high) / 2).astype(dtype)
        self.half = ((prefix.high - prefix.low) / 2).astype(dtype)
        self.planes = [y.plane32 if dtype == np.float32 else y.rows.plane for y in layers]

    def fix(self, slopes: Array) -> Array:
        """Return slopes with those of split neurons set to 0 or 1."""
        return slopes.copy() if self.signs is None else np.where(self.free, slopes, self.signs > 0)

    def layer_means(self, values: Array) -> Array:
        """Replace values by their means over each layer."""
        made = np.empty_like(values)
        for span in self.spans:
            if span.stop > span.start:
                made[:, span] = values[:, span].mean(1, keepdims=True)
        return made

    def backward(self, plane: Array, slopes: Array, weights: Array) -> tuple[Array, Array, Array]:
        """Return bounds (R,), coefficients of neurons (R, M), and worst corners (R, inputs)."""
        coefficients = np.empty((len(plane), slopes.shape[1]), plane.dtype)
        constant = np.zeros(len(plane), plane.dtype)
        for span, rows in zip(reversed(self.spans), reversed(self.planes), strict=True):
            rest, c = plane[:, : rows.shape[1]], plane[:, rows.shape[1] :]
            coefficients[:, span] = c
            positive = np.maximum(c, 0)
            negative = c - positive
            constant += np.einsum(
                "ij,ij->i", negative, np.broadcast_to(self.lift[:, span], c.shape)
            )
            negative *= self.slope_up[:, span]
            positive *= slopes[:, span]
            positive += negative
            if self.signs is not None:
                positive += weights[:, span] * self.minus_signs[:, span]
            plane = rest + positive @ rows
        n = len(self.centre)
        slope = plane[:, :n]
        low = constant + plane[:, n] + slope @ self.centre - np.abs(slope) @ self.half
        return low, coefficients, self.centre - np.copysign(self.half, slope)

    def forward(self, columns: int, coefficients: Array, corner: Array, slopes: Array) -> Array:
        """Return the relaxed network's values before each ReLU at the corners, (R, M)."""
        n = corner.shape[1]
        values = np.empty_like(coefficients)
        v = np.empty((len(corner), columns), corner.dtype)
        v[:, :n], v[:, n] = corner, 1.0
        for span, rows in zip(self.spans, self.planes, strict=True):
            start = rows.shape[1]
            z = v[:, :start] @ rows.T
            values[:, span] = z
            above = z * self.slope_up[:, span] + self.lift[:, span]
            made = np.where(coefficients[:, span] > 0, slopes[:, span] * z, above)
            v[:, start : start + z.shape[1]] = made
        return values


def _certify(
    prefix: Prefix, rows: Rows, signs: Array | None, slopes: Array, weights: Array
) -> Bounded:
    """Compute the bound of given slopes and weights in float64, with all rounding against it."""
    work = _Work(prefix, signs, np.float64)
    a, b = slopes.astype(float), weights.astype(float)
    low, coefficients, corner = work.backward(rows.plane, a, b)
    n, widest = len(prefix.low), max(prefix.widths, default=0)
    rounding = gamma(widest + 6 * len(prefix.layers) + n + 20)
    reach = np.maximum(np.abs(prefix.low), np.abs(prefix.high))
    lost = rows.error + rounding * rows.size
    for span, layer in zip(work.spans, prefix.layers, strict=True):
        own = layer.rows.error + rounding * layer.rows.size
        lost = lost + np.abs(coefficients[:, span]) @ (
            own + rounding * (2 * layer.most + layer.lift)
        )
        lost += b[:, span] @ own
    lost += rounding * _end(work, rows, coefficients, a, b, reach)
    low = low - lost * (1 + 2 * rounding) - TINY
    low = np.where(np.isfinite(low), low, -np.inf)
    return Bounded(low, slopes, weights, coefficients.astype(np.float32), corner.astype(np.float32))


def _end(
    work: _Work, rows: Rows, coefficients: Array, slopes: Array, weights: Array, reach: Array
) -> Array:
    """Bound |plane| |(x, 1)| behind the last substitution by the sum of all that went into it."""
    size = rows.size.copy()
    for span, layer in zip(work.spans, work.prefix.layers, strict=True):
        c = np.abs(coefficients[:, span]) + weights[:, span]
        size += c @ (layer.rows.size + layer.lift)
    return size
