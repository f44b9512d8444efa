"""Lines below and above an activation between two bounds, for many neurons at once.

Paper:    Zhang et al. CROWN. NeurIPS 2018, arXiv:1811.00866, section 3.2; for S-shaped functions
          the tangents of its table 2.
Departs:  slopes may be any numbers: a line's offset is taken at all points where its distance from
          the function can be extreme (ends, kinks, where the derivative is the slope), and moved
          outward by what that may round.
Notation: least, most = l, u.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.audits.verify._curves import APPROXIMATE, CURVES, curve_lines, curve_range
from netwright.audits.verify._program import Step

__all__ = ["APPROXIMATE", "S_SHAPED", "Lines", "derivative", "lines", "value_range"]

_BISECTIONS = 40
S_SHAPED: dict[str, Callable[[Tensor], Tensor]] = {"Sigmoid": torch.sigmoid, "Tanh": torch.tanh}


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """`slope_low z + offset_low <= f(z) <= slope_up z + offset_up` between the bounds.

    Attributes:
        slope_low: below.
        offset_low: below.
        slope_up: above.
        offset_up: above.
        free: where any slope from 0 (LeakyRelu: its own) to 1 would do below, with offset 0.
    """

    slope_low: Tensor
    offset_low: Tensor
    slope_up: Tensor
    offset_up: Tensor
    free: Tensor


def value_range(step: Step, least: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """Bound an activation by an interval; those of this file are monotone.

    Args:
        step: an activation.
        least: lower bounds of its inputs.
        most: upper bounds.
    """
    if step.op in CURVES:
        return curve_range(step, least, most)
    low, high = step.run(least), step.run(most)
    if step.op in S_SHAPED:
        return low - APPROXIMATE, high + APPROXIMATE
    if step.op == "HardSigmoid":
        return low - 1e-6, high + 1e-6  # its line is rounded
    return low, high


def lines(step: Step, least: Tensor, most: Tensor) -> Lines:
    """Relax an activation.

    Args:
        step: an activation.
        least: lower bounds of its inputs.
        most: upper bounds.
    """
    if step.op in CURVES:
        none = torch.zeros_like(least, dtype=torch.bool)
        return Lines(*curve_lines(step, least, most), none)
    if step.op in S_SHAPED:
        return _s_shaped(S_SHAPED[step.op], least, most)
    if step.op in ("Relu", "LeakyRelu"):
        return _relu(step.settings[0] if step.settings else 0.0, least, most)
    low, high = step.settings if step.op == "Clip" else (0.0, 1.0)
    slope, shift = step.settings if step.op == "HardSigmoid" else (1.0, 0.0)
    return _clip(slope, shift, low, high, least, most)


def _relu(leak: float, least: Tensor, most: Tensor) -> Lines:
    on, off = least >= 0, most <= 0
    width = torch.where(on | off, torch.ones_like(most), most - least)
    up = torch.where(on, torch.ones_like(most), (most - leak * least) / width)
    up = torch.where(off, torch.full_like(most, leak), up).clamp(leak, 1.0)
    # Over both ends of the interval; convex, so over all of it.
    lift = torch.maximum(leak * least - up * least, most - up * most)
    lift = torch.where(on | off, torch.zeros_like(most), lift + 1e-15 * (most - least))
    flat = torch.where(most > -least, torch.ones_like(most), torch.full_like(most, leak))
    low = torch.where(
        on, torch.ones_like(most), torch.where(off, leak * torch.ones_like(most), flat)
    )
    return Lines(low, torch.zeros_like(most), up, lift, ~(on | off))


def _clip(
    slope: float, shift: float, low: float, high: float, least: Tensor, most: Tensor
) -> Lines:
    """`min(max(slope z + shift, low), high)`, slope > 0, between two lines along its chord."""

    def f(z: Tensor) -> Tensor:
        return (slope * z + shift).clamp(low, high)

    a, b = f(least), f(most)
    width = (most - least).clamp(min=1e-300)
    chord = torch.where(most > least, (b - a) / width, torch.zeros_like(a)).clamp(0.0, slope)
    kinks = [(end - shift) / slope for end in (low, high) if abs(end) != float("inf")]
    gaps = [a - chord * least, b - chord * most]
    for kink in kinks:  # piecewise linear: extreme at an end or a kink
        point = torch.full_like(least, kink).clamp(least, most)
        gaps.append(f(point) - chord * point)
    found = torch.stack(gaps)
    pad = 1e-14 * (1 + a.abs() + b.abs() + slope * (least.abs() + most.abs()))
    none = torch.zeros_like(least, dtype=torch.bool)
    return Lines(chord, found.amin(0) - pad, chord, found.amax(0) + pad, none)


def _s_shaped(f: Callable[[Tensor], Tensor], least: Tensor, most: Tensor) -> Lines:
    """Convex left of 0, concave right of it; the derivative is even and falls away from 0."""
    a, b = f(least), f(most)
    width = (most - least).clamp(min=1e-12)
    chord = ((b - a) / width).clamp(min=0.0)
    middle = (least + most) / 2
    # Above: where it is concave, the tangent in the middle; where it is convex, the chord; across,
    # the tangent through the left end, or the chord if that tangent touches beyond the right end.
    up_touch, low_touch = _touching(f, least, most), -_touching(f, -most, -least)
    touches_beyond = b + derivative(f, most) * (least - most) < a
    up = derivative(f, torch.where(least >= 0, middle, up_touch))
    up = torch.where((most <= 0) | ((least < 0) & touches_beyond), chord, up)
    touches_before = a + derivative(f, least) * (most - least) > b
    low = derivative(f, torch.where(most <= 0, middle, low_touch))
    low = torch.where((least >= 0) | ((most > 0) & touches_before), chord, low)
    offsets = []
    for slope, side in ((low, -1), (up, 1)):
        # f(z) - slope z is extreme at an end, or where f' = slope: at p or -p.
        p = _point_ofderivative(f, slope)
        points = [least, most, p.clamp(least, most), (-p).clamp(least, most)]
        gaps = torch.stack([f(z) - slope * z for z in points])
        # p is known to 1e-9; there the gap is flat, so it errs by the square of that.
        pad = APPROXIMATE + 1e-9 * (1 + least.abs() + most.abs())
        offsets.append(gaps.amax(0) + pad if side > 0 else gaps.amin(0) - pad)
    none = torch.zeros_like(least, dtype=torch.bool)
    return Lines(low, offsets[0], up, offsets[1], none)


def derivative(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the slope of sigmoid or tanh.

    Args:
        f: one of them.
        z: where.
    """
    y = f(z)
    return y * (1 - y) if f is torch.sigmoid else 1 - y * y


def _touching(f: Callable[[Tensor], Tensor], end: Tensor, most: Tensor) -> Tensor:
    """Return where, right of 0, a tangent passes through the graph at `end` < 0; else `most`."""
    left, right = torch.zeros_like(end), most.clamp(min=0.0)
    for _ in range(_BISECTIONS):
        z = (left + right) / 2
        below = f(z) + derivative(f, z) * (end - z) < f(end)  # the tangent passes under the end
        left, right = torch.where(below, z, left), torch.where(below, right, z)
    return right.detach()


def _point_ofderivative(f: Callable[[Tensor], Tensor], slope: Tensor) -> Tensor:
    """Return the z >= 0 where the derivative is `slope`; 0 where it is never so steep."""
    slope = slope.clamp(min=1e-300)
    if f is torch.sigmoid:  # y (1 - y) = slope
        y = 0.5 + (0.25 - slope).clamp(min=0.0).sqrt()
        return (2 * torch.log(y) - torch.log(slope)).clamp(0.0, 700.0).detach()
    y = (1 - slope).clamp(min=0.0).sqrt()  # 1 - y y = slope
    return (torch.log1p(y) - 0.5 * torch.log(slope)).clamp(0.0, 350.0).detach()
