"""Intervals of every value of a network, and what is lost by rounding on the way.

Paper:    Gowal et al. On the Effectiveness of Interval Bound Propagation for Training Verifiably
          Robust Models. 2018, arXiv:1810.12715.
Departs:  rounding is counted, below.
Notation: least, most = lower and upper bounds.

Bounds are computed in float64 for a network that may be executed in other arithmetic of relative
error u (`Program.unit`), in any order of summation: an affine step then makes `W x + b + e` with
|e| <= gamma_n (|W| |x| + |b|), n terms a sum. That bound of |e|, with what float64 itself rounds
here, is the step's `noise`: it widens intervals, and costs a linear bound |coefficients| * noise.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from netwright.audits.verify._network import NetworkError
from netwright.audits.verify._program import Program, Step
from netwright.audits.verify._relaxations import value_range
from netwright.audits.verify._rounding import UNIT

__all__ = ["SLACK", "Box", "affine_noise", "interval", "intervals", "rounded"]

SLACK = 1 + 1e-6  # rounding of the rounding terms themselves


@dataclass(slots=True, eq=False)
class Box:
    """Boxes of inputs, and what is known about every value behind them.

    Attributes:
        program: the network.
        low: least inputs, float64 (batch, *features).
        high: largest inputs.
        least: lower bound of every value, by name.
        most: upper bound of every value, by name.
        noise: of every step, by the name of what it makes: see the module.
    """

    program: Program
    low: Float[Tensor, "batch *features"]
    high: Float[Tensor, "batch *features"]
    least: dict[str, Tensor] = field(default_factory=dict)
    most: dict[str, Tensor] = field(default_factory=dict)
    noise: dict[str, Tensor] = field(default_factory=dict)

    def reach(self, name: str) -> Tensor:
        """Return a bound of the absolute values of a value.

        Args:
            name: of the value.
        """
        return torch.maximum(self.least[name].abs(), self.most[name].abs())


def intervals(
    program: Program,
    low: Float[Tensor, "batch *features"],
    high: Float[Tensor, "batch *features"],
) -> Box:
    """Bound every value by an interval.

    Args:
        program: the network.
        low: least inputs, float64.
        high: largest inputs, float64.

    Returns:
        A box, which `tighten` can improve. Differentiable in the inputs and the weights.

    Raises:
        NetworkError: if the graph mixes rows of a batch.
    """
    box = Box(program, low, high, {program.source: low}, {program.source: high})
    for step in program.steps:
        made, noise = interval(step, box)
        if made[0].shape[:1] != box.low.shape[:1]:
            raise NetworkError(
                f"{step.label} does not keep the {len(box.low)} rows of a batch apart; it makes "
                f"{tuple(made[0].shape)}."
            )
        box.least[step.target], box.most[step.target] = made
        box.noise[step.target] = noise
    return box


def interval(step: Step, box: Box) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Bound what a step makes by an interval; with its noise.

    Args:
        step: of the box's program.
        box: with bounds of its sources.
    """
    none = torch.zeros((), dtype=torch.float64)
    lows, highs = [box.least[s] for s in step.sources], [box.most[s] for s in step.sources]
    if step.kind in ("copy", "concat", "maxpool"):
        return (step.run(*lows), step.run(*highs)), none
    if step.kind == "affine":
        return _affine(step, box, lows[0], highs[0])
    if step.kind == "activation":
        return value_range(step, lows[0], highs[0]), none
    if step.kind == "range":
        assert step.bounds is not None
        return step.bounds(lows[0], highs[0]), none
    if step.kind == "error":
        assert step.margin is not None
        noise = step.margin(box.reach(step.sources[1]))
        return (lows[0] - noise * SLACK, highs[0] + noise * SLACK), noise
    return _pair(step, box)


def affine_noise(step: Step, unit: float, reach: Tensor, extra: int = 0) -> Tensor:
    """Bound what an affine step rounds, here and in the runtime.

    Args:
        step: an affine one.
        unit: of the runtime's arithmetic.
        reach: bound of its source's absolute values.
        extra: numbers that are added up here besides.
    """
    assert step.absolute is not None and step.constant is not None
    size = step.absolute(reach) + step.constant(torch.zeros_like(reach[:1]))
    terms = step.terms or reach[0].numel() // max(size[0].numel(), 1) + 2
    return (_gamma(terms, unit) + rounded(reach[0].numel() + terms + extra)) * size + 1e-300


def _affine(
    step: Step, box: Box, low: Tensor, high: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    assert step.absolute is not None
    noise = affine_noise(step, box.program.unit, torch.maximum(low.abs(), high.abs()))
    centre, half = (low + high) / 2, (high - low) / 2
    middle, spread = step.run(centre), step.absolute(half) + noise * SLACK
    return (middle - spread, middle + spread), noise


def _pair(step: Step, box: Box) -> tuple[tuple[Tensor, Tensor], Tensor]:
    first, second = step.sources
    a, b = (box.least[first], box.most[first]), (box.least[second], box.most[second])
    if step.op == "Add":
        low, high = a[0] + b[0], a[1] + b[1]
    elif step.op == "Sub":
        low, high = a[0] - b[1], a[1] - b[0]
    else:
        corners = torch.stack([u * v for u in a for v in b])
        low, high = corners.amin(0), corners.amax(0)
    reach = box.reach(first) * box.reach(second)
    size = reach if step.op == "Mul" else box.reach(first) + box.reach(second)
    noise = (_gamma(1, box.program.unit) + rounded(4)) * size + 1e-300
    return (low - noise * SLACK, high + noise * SLACK), noise


def _gamma(n: int, unit: float) -> float:
    share = n * unit
    return share / (1 - share) if share < 0.5 else math.inf


def rounded(n: int) -> float:
    """Bound the relative error of `n` roundings to float64.

    Args:
        n: how many.
    """
    return 1.01 * n * UNIT
