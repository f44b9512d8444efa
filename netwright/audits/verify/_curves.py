"""Lines below and above smooth activations, and steps, between two bounds.

Paper:    Shi, Zhang, Chang, Huang, Hsieh. Robustness Verification for Transformers. ICLR 2020,
          arXiv:2002.06622, section 3.3, for convex functions: a tangent and the chord.
Departs:  functions that bend both ways are compared with a line at `_POINTS` points, between which
          they leave it by at most a bound of the second derivative times the spacing squared, over
          eight: any slope may be tried, and the offset is sound.
Notation: least, most = l, u.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.audits.verify._program import Step

__all__ = ["APPROXIMATE", "CURVES", "curve_lines", "curve_range"]

APPROXIMATE = 2e-6
"""How far a runtime's float32 sigmoid, exponential and so on may lie from the function, as a share
of 1 + |value|; assumed, not proved."""
_POINTS = 65

Four = tuple[Tensor, Tensor, Tensor, Tensor]
"""Slope and offset below, slope and offset above."""


@dataclass(frozen=True, slots=True)
class _Convex:
    """A convex function, or a concave one, on its domain.

    Attributes:
        slope: its derivative; between its one-sided ones at a kink.
        sign: 1 if convex, -1 if concave.
        above: the domain is above this; -inf for all numbers.
        monotone: 1 rising, -1 falling, 0 falling before 0 and rising behind it.
        exact: whether a runtime computes it up to one rounding.
        closed: whether `above` itself belongs to the domain.
    """

    slope: Callable[[Tensor], Tensor]
    sign: int
    above: float
    monotone: int
    exact: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class _Bent:
    """A function whose second derivative is bounded but for kinks.

    Attributes:
        curvature: bound of the second derivative's absolute value, from the step's settings.
        floor: lower bound of all values.
        ceiling: upper bound of all values.
        turn: falls before it and rises behind it; -inf if it always rises, None if it does neither.
        kinks: where the derivative jumps.
    """

    curvature: Callable[[tuple[float, ...]], float]
    floor: float = -math.inf
    ceiling: float = math.inf
    turn: float | None = -math.inf
    kinks: tuple[float, ...] = ()


_CONVEX = {
    "Abs": _Convex(torch.sign, 1, -math.inf, 0, exact=True),
    "Exp": _Convex(torch.exp, 1, -math.inf, 1),
    "Log": _Convex(torch.reciprocal, -1, 0.0, 1),
    "Reciprocal": _Convex(lambda z: -(z.square().reciprocal()), 1, 0.0, -1, exact=True),
    "Rsqrt": _Convex(lambda z: -0.5 * z**-1.5, 1, 0.0, -1),
    "Softplus": _Convex(torch.sigmoid, 1, -math.inf, 1),
    "Sqrt": _Convex(lambda z: 0.5 * z.rsqrt(), -1, 0.0, 1, exact=True, closed=True),
    "Square": _Convex(lambda z: 2 * z, 1, -math.inf, 0, exact=True),
}
_BENT = {
    "Celu": _Bent(lambda s: 1 / s[0]),
    "Cos": _Bent(lambda s: 1.0, -1.0, 1.0, None),
    "Elu": _Bent(lambda s: s[0], kinks=(0.0,)),
    "Erf": _Bent(lambda s: 0.98, -1.0, 1.0),
    "Gelu": _Bent(lambda s: 0.85, -0.1701, turn=-0.7518),
    "HardSwish": _Bent(lambda s: 0.34, -0.375, turn=-1.5, kinks=(-3.0, 3.0)),
    "Mish": _Bent(lambda s: 0.65, -0.30886, turn=-1.1925),
    "Selu": _Bent(lambda s: s[0] * s[1], kinks=(0.0,)),
    "Sin": _Bent(lambda s: 1.0, -1.0, 1.0, None),
    "Swish": _Bent(lambda s: 0.51, -0.27847, turn=-1.2785),
    "Softsign": _Bent(lambda s: 2.0, -1.0, 1.0),
}
_JUMPS = {"Ceil": (0.0, 1.0), "Floor": (-1.0, 0.0), "Round": (-0.5, 0.5)}
_STEPS = frozenset((*_JUMPS, "Sign", "Trunc"))
CURVES = frozenset((*_CONVEX, *_BENT, *_STEPS))


def curve_range(step: Step, least: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """Bound a function by an interval.

    Args:
        step: an activation of `CURVES`.
        least: lower bounds of its inputs.
        most: upper bounds. A function that is not defined between them gives NaN.
    """
    a, b = step.run(least), step.run(most)
    if step.op in _STEPS:
        return a + 0 * least, b + 0 * most  # the sign of NaN is 0
    if step.op in _CONVEX:
        return _convex_range(step, _CONVEX[step.op], least, most, a, b)
    curve = _BENT[step.op]
    if curve.turn is None:
        slack = _flaw(curve, step, least, most)
        found = torch.stack([step.run(z) for z in _grid(curve, least, most)])
        low, high = found.amin(0) - slack, found.amax(0) + slack
    else:
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        turns = (least < curve.turn + 0.01) & (most > curve.turn - 0.01)
        low = torch.where(turns, torch.full_like(low, curve.floor), low)
    low, high = low - _err(low), high + _err(high)
    return low.clamp(min=curve.floor - APPROXIMATE), high.clamp(max=curve.ceiling + APPROXIMATE)


def curve_lines(step: Step, least: Tensor, most: Tensor) -> Four:
    """Relax a function.

    Args:
        step: an activation of `CURVES`.
        least: lower bounds of its inputs.
        most: upper bounds. A function that is not defined between them gives NaN.
    """
    if step.op in _STEPS:
        return _step_lines(step, least, most)
    if step.op in _CONVEX:
        return _convex_lines(step, _CONVEX[step.op], least, most)
    return _bent_lines(step, _BENT[step.op], least, most)


def _convex_range(
    step: Step, curve: _Convex, least: Tensor, most: Tensor, a: Tensor, b: Tensor
) -> tuple[Tensor, Tensor]:
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    if curve.monotone == 0:
        low = torch.where((least <= 0) & (most >= 0), torch.zeros_like(low), low)
    low, high = low - _rounding(curve, a, b), high + _rounding(curve, a, b)
    if step.op not in ("Log", "Reciprocal"):
        low = low.clamp(min=0.0)
    lost = _defined(step, curve, least, most)
    return low + lost, high + lost


def _convex_lines(step: Step, curve: _Convex, least: Tensor, most: Tensor) -> Four:
    flip = (least < 0) if step.op == "Reciprocal" else torch.zeros_like(least, dtype=torch.bool)
    least, most = torch.where(flip, -most, least), torch.where(flip, -least, most)
    a, b = step.run(least), step.run(most)
    touch = (least + most) / 2
    if step.op == "Exp":
        touch = torch.minimum(touch, least + 0.99)  # so that the tangent stays positive
    tangent = curve.slope(touch)
    width = most - least
    chord = torch.where(width > 0, (b - a) / width.clamp(min=1e-300), tangent)
    size = a.abs() + b.abs() + step.run(touch).abs()
    size = size + (chord.abs() + tangent.abs()) * (least.abs() + most.abs())
    pad = _rounding(curve, a, b) + 1e-13 * size
    # The tangent, moved by the rounding; the chord, over both ends.
    at_touch = step.run(touch) - tangent * touch
    ends = torch.stack([a - chord * least, b - chord * most])
    if curve.sign > 0:
        low, up = (tangent, at_touch - pad), (chord, ends.amax(0) + pad)
    else:
        low, up = (chord, ends.amin(0) - pad), (tangent, at_touch + pad)
    lost = _defined(step, curve, least, most)
    # f(-z) = -f(z) for the reciprocal: the lines change places, and their offsets sign.
    return (
        torch.where(flip, up[0], low[0]) + lost,
        torch.where(flip, -up[1], low[1]) + lost,
        torch.where(flip, low[0], up[0]) + lost,
        torch.where(flip, -low[1], up[1]) + lost,
    )


def _defined(step: Step, curve: _Convex, least: Tensor, most: Tensor) -> Tensor:
    """Return NaN where the function is not defined in all of the interval, else 0."""
    inside = least >= curve.above if curve.closed else least > curve.above
    if step.op == "Reciprocal":
        inside = inside | (most < 0)
    return torch.where(inside, torch.zeros_like(least), torch.full_like(least, math.nan))


def _bent_lines(step: Step, curve: _Bent, least: Tensor, most: Tensor) -> Four:
    middle = (least + most) / 2
    a, m, b = step.run(least), step.run(middle), step.run(most)
    half = ((most - least) / 2).clamp(min=1e-12)
    near = 1e-4 * half
    slopes = [
        (b - a) / (2 * half),
        (step.run(middle + near) - step.run(middle - near)) / (2 * near),
        (m - a) / half,
        (b - m) / half,
        torch.zeros_like(least),
    ]
    points = _grid(curve, least, most)
    values = [step.run(z) for z in points]
    flaw = _flaw(curve, step, least, most)
    lows, highs = curve_range(step, least, most)
    best: list[Tensor] = []
    for slope in slopes:
        low, up = values[0] - slope * points[0], values[0] - slope * points[0]
        for z, y in zip(points[1:], values[1:], strict=True):
            gap = y - slope * z
            low, up = torch.minimum(low, gap), torch.maximum(up, gap)
        pad = flaw + _err(torch.maximum(a.abs(), b.abs()) + m.abs())
        pad = pad + 1e-13 * slope.abs() * (least.abs() + most.abs())
        low, up = low - pad, up + pad
        if slope is slopes[-1]:  # the interval itself
            low, up = torch.maximum(low, lows), torch.minimum(up, highs)
        if not best:
            best = [slope, low, slope, up]
            continue
        below = slope * middle + low > best[0] * middle + best[1]
        above = slope * middle + up < best[2] * middle + best[3]
        best = [
            torch.where(below, slope, best[0]),
            torch.where(below, low, best[1]),
            torch.where(above, slope, best[2]),
            torch.where(above, up, best[3]),
        ]
    return best[0], best[1], best[2], best[3]


def _step_lines(step: Step, least: Tensor, most: Tensor) -> Four:
    """Between its values at the ends, or beside the line that it follows."""
    low, high = curve_range(step, least, most)
    flat = torch.zeros_like(least)
    if step.op not in _JUMPS:
        return flat, low, flat, high
    below, above = _JUMPS[step.op]
    follows = high - low > above - below
    slope = follows.to(least.dtype)
    pad = 1e-15 * (1 + least.abs() + most.abs())
    return (
        slope,
        torch.where(follows, below - pad, low),
        slope,
        torch.where(follows, above + pad, high),
    )


def _grid(curve: _Bent, least: Tensor, most: Tensor) -> list[Tensor]:
    shares = [k / (_POINTS - 1) for k in range(1, _POINTS - 1)]
    inner = [least + share * (most - least) for share in shares]
    kinks = [torch.full_like(least, kink).clamp(least, most) for kink in curve.kinks]
    return [least, most, *inner, *kinks]


def _flaw(curve: _Bent, step: Step, least: Tensor, most: Tensor) -> Tensor:
    """Bound how far a function leaves its chord between two neighbours of the grid."""
    spacing = (most - least) * (1.001 / (_POINTS - 1))
    return curve.curvature(step.settings) * spacing.square() / 8


def _rounding(curve: _Convex, a: Tensor, b: Tensor) -> Tensor:
    """Bound what a runtime's value errs, between the values at the ends."""
    size = torch.maximum(a.abs(), b.abs())
    return 2.0**-23 * size if curve.exact else _err(size)


def _err(size: Tensor) -> Tensor:
    return APPROXIMATE * (1 + size.abs())
