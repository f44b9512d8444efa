"""Bound every value of a network by zonotopes, in one pass forward.

Paper:    Singh, Gehr, Mirman, Pueschel, Vechev. Fast and Effective Robustness Certification
          (DeepZ). NeurIPS 2018. Theorem 3.1 for ReLU, 3.2 for sigmoid and tanh.
Departs:  other activations are put between two parallel lines, which their relaxation by two lines
          of any slopes gives; what is lost in products, poolings and by rounding is kept as a
          `slack` without generators. Bounds are cut with intervals.
Notation: slope = lambda, generators = the rows of A, centre = b.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from netwright.audits.verify._intervals import Box, affine_noise, interval, intervals
from netwright.audits.verify._program import Program, Step
from netwright.audits.verify._relaxations import APPROXIMATE, S_SHAPED, derivative, lines

__all__ = ["zonotopes"]

_SMALL = 1e-12  # half-widths below get no generator


@dataclass(slots=True, eq=False)
class _Zonotope:
    """`centre + sum_i e_i generators_i + d`, every |e_i| <= 1 and |d| <= slack.

    Attributes:
        centre: (batch, *value).
        generators: (batch, count, *value); those of other values have the same places.
        slack: (batch, *value).
    """

    centre: Tensor
    generators: Tensor
    slack: Tensor

    @property
    def radius(self) -> Tensor:
        return self.generators.abs().sum(1) + self.slack

    @property
    def reach(self) -> Tensor:
        return self.centre.abs() + self.radius

    def padded(self, count: int) -> Tensor:
        missing = count - self.generators.shape[1]
        shape = (len(self.centre), missing, *self.centre.shape[1:])
        return torch.cat([self.generators, self.centre.new_zeros(shape)], 1)


def zonotopes(
    program: Program,
    low: Float[Tensor, "batch *features"],
    high: Float[Tensor, "batch *features"],
) -> Box:
    """Bound every value by a zonotope, and by an interval where that is narrower.

    Looser than `tighten`, whose backward passes it does without, and never looser than `intervals`;
    memory grows with the number of inputs and unfixed neurons times the largest layer. Its box is
    where `linear_bounds` may begin.

    Args:
        program: the network.
        low: least inputs, float64.
        high: largest inputs, float64.

    Raises:
        NetworkError: if the graph mixes rows of a batch.
    """
    box = intervals(program, low, high)
    half = (high - low) / 2
    spread = torch.diag_embed(half.flatten(1)).unflatten(2, half.shape[1:])  # (B, n, *features)
    rounding = 4 * 2.0**-53 * torch.maximum(low.abs(), high.abs())
    values = {program.source: _Zonotope((low + high) / 2, spread, rounding)}
    count = spread.shape[1]
    for step in program.steps:
        made = _pushed(step, [values[s] for s in step.sources], box, count)
        count = max(count, made.generators.shape[1])
        values[step.target] = made
        radius = made.radius * (1 + count * 2.0**-52)
        bounds, box.noise[step.target] = interval(step, box)
        for held, others, pick in (
            (box.least, (bounds[0], made.centre - radius), torch.fmax),
            (box.most, (bounds[1], made.centre + radius), torch.fmin),
        ):
            for other in others:
                held[step.target] = pick(held[step.target], other)
    return box


def _pushed(step: Step, given: list[_Zonotope], box: Box, count: int) -> _Zonotope:
    first = given[0]
    if step.kind in ("copy", "affine", "concat"):
        return _linear(step, given, box, count)
    if step.kind in ("sum", "product"):
        return _pair(step, given[0], given[1], box, count)
    if step.kind == "error":
        return _Zonotope(first.centre, first.generators, first.slack + box.noise[step.target])
    if step.kind == "activation":
        return _activated(step, first, box, count)
    (low, high), _ = interval(step, box)
    none = low.new_zeros(len(low), 0, *low.shape[1:])
    return _Zonotope((low + high) / 2, none, (high - low) / 2 * (1 + 2.0**-50))


def _linear(step: Step, given: list[_Zonotope], box: Box, count: int) -> _Zonotope:
    zeros = [torch.zeros_like(z.centre[:1]) for z in given]
    added = step.run(*zeros)
    spread = [z.padded(count) for z in given]
    B = len(given[0].centre)
    made = step.run(*(s.flatten(0, 1) for s in spread)) - added
    if step.kind == "affine":
        assert step.absolute is not None
        noise = affine_noise(step, box.program.unit, given[0].reach, count)
        slack = step.absolute(given[0].slack) + noise
    else:
        slack = step.run(*(z.slack for z in given)) - added
    return _Zonotope(step.run(*(z.centre for z in given)), made.unflatten(0, (B, count)), slack)


def _pair(step: Step, a: _Zonotope, b: _Zonotope, box: Box, count: int) -> _Zonotope:
    noise = box.noise[step.target] + 2.0**-50 * count * (
        a.reach * b.reach if step.kind == "product" else a.reach + b.reach
    )
    x, y = a.padded(count), b.padded(count)
    if step.kind == "sum":
        sign = -1.0 if step.op == "Sub" else 1.0
        slack = a.slack + b.slack + noise
        return _Zonotope(a.centre + sign * b.centre, x + sign * y, slack)
    slack = a.centre.abs() * b.slack + b.centre.abs() * a.slack + a.radius * b.radius + noise
    along = a.centre.unsqueeze(1) * y + b.centre.unsqueeze(1) * x
    return _Zonotope(a.centre * b.centre, along, slack)


def _activated(step: Step, z: _Zonotope, box: Box, count: int) -> _Zonotope:
    source = step.sources[0]
    slope, below, above = _parallel(step, box.least[source], box.most[source])
    half = ((above - below) / 2).clamp(min=0.0)
    size = slope.abs() * z.reach + below.abs() + above.abs()
    slack = slope.abs() * z.slack + 2.0**-50 * (count + 4) * size
    places = (half > _SMALL).any(0).flatten().nonzero()[:, 0]  # these get a generator each
    fresh = torch.zeros(len(half), len(places), half[0].numel(), dtype=half.dtype)
    fresh[:, torch.arange(len(places)), places] = half.flatten(1)[:, places]
    slack = slack + torch.where((half > _SMALL).any(0), torch.zeros_like(half), half)
    generators = slope.unsqueeze(1) * z.padded(count)
    fresh = fresh.unflatten(2, half.shape[1:])
    centre = slope * z.centre + (below + above) / 2
    return _Zonotope(centre, torch.cat([generators, fresh], 1), slack)


def _parallel(step: Step, least: Tensor, most: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a slope, and the offsets of two lines of it below and above the function."""
    if step.op in S_SHAPED:
        f = S_SHAPED[step.op]  # f(z) - slope z rises: its extremes are at the ends
        slope = torch.minimum(derivative(f, least), derivative(f, most)) * (1 - 1e-12)
        pad = APPROXIMATE
        return slope, f(least) - slope * least - pad, f(most) - slope * most + pad
    given = lines(step, least, most)
    if step.op in ("Relu", "LeakyRelu"):
        return given.slope_up, torch.zeros_like(least), given.offset_up
    slope = (given.slope_low + given.slope_up) / 2
    low, up = given.slope_low - slope, given.slope_up - slope
    below = given.offset_low + torch.minimum(low * least, low * most)
    above = given.offset_up + torch.maximum(up * least, up * most)
    return slope, below, above
