"""Backward linear bounds of any network of known operations over boxes, with optimised slopes.

Paper:    Zhang, Weng, Chen, Hsieh, Daniel. CROWN. NeurIPS 2018, arXiv:1811.00866; Xu et al.
          Automatic Perturbation Analysis for Scalable Certified Robustness and Beyond. NeurIPS
          2020, arXiv:2002.12920, for graphs; Xu et al. Fast and Complete (alpha-CROWN). ICLR 2021,
          arXiv:2011.13824, for optimised slopes.
Departs:  rounding is counted, by the `noise` of `_intervals`: a linear bound costs |coefficients| *
          noise. Where a computed coefficient differs from its exact value the difference is again
          at most gamma times the sum of absolute values, and is counted in the same place. Slopes
          are optimised for the last rows alone.
Notation: slopes = alpha.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from netwright.audits.verify._intervals import SLACK, Box, interval, rounded
from netwright.audits.verify._program import Step
from netwright.audits.verify._relaxations import Lines, lines

__all__ = ["linear_bounds", "optimised_bounds", "tighten"]

_LINEAR = frozenset(("affine", "concat", "copy", "error", "sum"))
_ENTRIES = 6_000_000  # of the largest coefficient tensor at a time: 48 MB


def linear_bounds(
    box: Box,
    name: str,
    rows: Float[Tensor, "rows batch *value"],
    *,
    slopes: Mapping[str, Tensor] | None = None,
) -> Float[Tensor, "rows batch"]:
    """Bound linear functions of a value from below.

    Args:
        box: with bounds of all values before it.
        name: of the value.
        rows: coefficients, float64.
        slopes: of the lines below activations, (rows, batch, *value) by the name of what an
            activation makes; None for those that leave the least area.

    Returns:
        Sound lower bounds. Differentiable in `slopes` and in the weights.
    """
    S, B = rows.shape[:2]
    coefficients: dict[str, Tensor] = {name: rows}
    total = torch.zeros(S, B, dtype=torch.float64)
    lost = torch.zeros(S, B, dtype=torch.float64)
    for step in reversed(box.program.steps):
        c = coefficients.pop(step.target, None)
        if c is None:
            continue
        size = c.abs()
        # Coefficients that were added up, and constants in one sum: few roundings each.
        lost = lost + _dot(size, rounded(c[0, 0].numel() + 200) * box.reach(step.target))
        if step.kind in ("copy", "affine", "concat"):
            zeros = [torch.zeros_like(box.least[s][:1]) for s in step.sources]
            if step.kind != "copy":
                lost = lost + _dot(size, box.noise[step.target])
                total = total + _dot(c, step.run(*zeros))
            for source, back in zip(step.sources, _back(step, zeros, c), strict=True):
                _add(coefficients, source, back)
        elif step.kind == "sum":
            lost = lost + _dot(size, box.noise[step.target])
            for i, source in enumerate(step.sources):
                sign = -1.0 if i and step.op == "Sub" else 1.0
                _add(coefficients, source, sign * _gathered(c, box.least[source]))
        elif step.kind == "error":
            lost = lost + _dot(size, box.noise[step.target])
            _add(coefficients, step.sources[0], c)
        elif step.kind == "range":
            low, high = box.least[step.target], box.most[step.target]
            total = total + _dot(c.clamp(min=0.0), low) + _dot(c.clamp(max=0.0), high)
        elif step.kind == "product":
            total, lost = _through_product(step, box, c, coefficients, total, lost)
        elif step.kind == "maxpool":
            total = _through_maxpool(step, box, c, coefficients, total)
        else:
            given = lines(step, box.least[step.sources[0]], box.most[step.sources[0]])
            chosen = None if slopes is None else slopes.get(step.target)
            total, lost = _through_lines(step, box, c, coefficients, total, lost, given, chosen)
    c = coefficients.pop(box.program.source, torch.zeros_like(box.low).expand(S, *box.low.shape))
    centre, half = (box.low + box.high) / 2, (box.high - box.low) / 2
    reach = torch.maximum(box.low.abs(), box.high.abs())
    lost = lost + _dot(c.abs(), rounded(reach[0].numel() + 200) * reach)
    return total + _dot(c, centre) - _dot(c.abs(), half) - lost * SLACK


def tighten(box: Box) -> None:
    """Replace intervals of what is not linear by linear bounds, in order of the steps.

    Args:
        box: its bounds are narrowed.
    """
    bounded: set[str] = set()
    nonlinear = False
    for step in box.program.steps:
        if nonlinear and step.kind not in _LINEAR:
            for source in step.sources:
                if source not in bounded and source != box.program.source:
                    _tighten(box, source, _wanted(step, box, source))
                    bounded.add(source)
        nonlinear |= step.kind not in _LINEAR
        if nonlinear:
            _pass_on(box, step)


def optimised_bounds(
    box: Box,
    name: str,
    rows: Float[Tensor, "rows batch *value"],
    *,
    steps: int = 20,
    step_size: float = 0.2,
) -> Float[Tensor, "rows batch"]:
    """Bound rows from below, with the slopes below activations chosen by gradient ascent.

    Args:
        box: with bounds of all values before it.
        name: of the value.
        rows: coefficients, float64.
        steps: of Adam.
        step_size: of the first step.

    Returns:
        The best bound met for each row; every one is sound, whatever the slopes.
    """
    slopes: dict[str, Tensor] = {}
    for step in box.program.steps:
        if step.kind == "activation" and step.op in ("Relu", "LeakyRelu"):
            source = step.sources[0]
            given = lines(step, box.least[source], box.most[source]).slope_low
            copies = given.detach().expand(len(rows), *given.shape)
            slopes[step.target] = copies.clone().requires_grad_()
    best = linear_bounds(box, name, rows).detach()
    if not slopes:
        return best
    optimiser = torch.optim.Adam(list(slopes.values()), lr=step_size)
    for k in range(steps):
        optimiser.zero_grad()
        with torch.enable_grad():
            found = linear_bounds(box, name, rows, slopes=slopes)
            (-found.sum()).backward()
        best = torch.maximum(best, found.detach().nan_to_num(nan=-math.inf))
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = step_size * 0.95 ** (k + 1)
        for slope in slopes.values():
            slope.data.clamp_(0.0, 1.0)
    return best


def _through_lines(
    step: Step,
    box: Box,
    c: Tensor,
    coefficients: dict[str, Tensor],
    total: Tensor,
    lost: Tensor,
    given: Lines,
    chosen: Tensor | None,
) -> tuple[Tensor, Tensor]:
    low = given.slope_low
    steepest = torch.maximum(low.abs(), given.slope_up.abs())
    if chosen is not None:  # slopes of at most 1
        steepest = steepest.clamp(min=1.0)
        leak = step.settings[0] if step.settings else 0.0
        low = torch.where(given.free, chosen.clamp(leak, 1.0), low)
    positive, negative = c.clamp(min=0.0), c.clamp(max=0.0)
    total = total + _dot(positive, given.offset_low) + _dot(negative, given.offset_up)
    offsets = torch.maximum(given.offset_low.abs(), given.offset_up.abs())
    rounding = rounded(c[0, 0].numel() + 200)
    lost = lost + _dot(c.abs(), rounding * (offsets + steepest * box.reach(step.sources[0])))
    _add(coefficients, step.sources[0], positive * low + negative * given.slope_up)
    return total, lost


def _through_product(
    step: Step,
    box: Box,
    c: Tensor,
    coefficients: dict[str, Tensor],
    total: Tensor,
    lost: Tensor,
) -> tuple[Tensor, Tensor]:
    """McCormick: xy >= lb_y x + lb_x y - lb_x lb_y, and xy <= ub_y x + lb_x y - lb_x ub_y."""
    first, second = step.sources
    shape = box.least[step.target].shape
    ax = box.least[first].expand(shape)
    ay, by = box.least[second].expand(shape), box.most[second].expand(shape)
    positive, negative = c.clamp(min=0.0), c.clamp(max=0.0)
    total = total - _dot(positive, ax * ay) - _dot(negative, ax * by)
    size = box.reach(first) * box.reach(second)
    lost = lost + _dot(c.abs(), box.noise[step.target] + 3 * rounded(c[0, 0].numel() + 200) * size)
    _add(coefficients, first, _gathered(positive * ay + negative * by, box.least[first]))
    _add(coefficients, second, _gathered(c * ax, box.least[second]))
    return total, lost


def _through_maxpool(
    step: Step, box: Box, c: Tensor, coefficients: dict[str, Tensor], total: Tensor
) -> Tensor:
    """Below: the input with the largest lower bound, picked by the pooling's own gradient.

    Above: the largest upper bound, a number.
    """
    source = step.sources[0]
    low, high = box.least[source], box.most[source]
    positive, negative = c.clamp(min=0.0), c.clamp(max=0.0)
    total = total + _dot(negative, step.run(high))
    S, B = c.shape[:2]
    at = low.detach().expand(S, *low.shape).flatten(0, 1).clone().requires_grad_()
    with torch.enable_grad():
        (back,) = torch.autograd.grad(step.run(at), at, positive.flatten(0, 1), create_graph=True)
    _add(coefficients, source, back.unflatten(0, (S, B)))
    return total


def _back(step: Step, zeros: list[Tensor], c: Tensor) -> list[Tensor]:
    """Apply the transposed matrices of a linear step to each of its sources."""
    S, B = c.shape[:2]
    spread = [z.expand(S * B, *z.shape[1:]) for z in zeros]
    pull = torch.func.vjp(step.run, *spread)[1]
    return [back.unflatten(0, (S, B)) for back in pull(c.flatten(0, 1))]


def _tighten(box: Box, name: str, wanted: Bool[Tensor, "batch *value"]) -> None:
    """Bound those numbers of a value that are wanted in some row of the batch."""
    flat = wanted.flatten(1)
    places = flat.any(0).nonzero()[:, 0]
    if not len(places):
        return
    B, n = flat.shape
    least, most = box.least[name].flatten(1).clone(), box.most[name].flatten(1).clone()
    largest = max(v[0].numel() for v in box.least.values())
    chunk = max(1, _ENTRIES // (B * largest))
    for some in places.split(chunk):
        rows = torch.zeros(len(some), n, dtype=torch.float64)
        rows[torch.arange(len(some)), some] = 1.0
        shaped = rows[:, None].expand(-1, B, -1).unflatten(2, box.least[name].shape[1:])
        below = linear_bounds(box, name, shaped)
        above = -linear_bounds(box, name, -shaped)
        least[:, some] = torch.fmax(least[:, some], below.T)  # a NaN bounds nothing
        most[:, some] = torch.fmin(most[:, some], above.T)
    box.least[name] = least.unflatten(1, box.least[name].shape[1:])
    box.most[name] = most.unflatten(1, box.most[name].shape[1:])


def _wanted(step: Step, box: Box, source: str) -> Tensor:
    """Say where narrower bounds would give narrower lines."""
    low, high = box.least[source], box.most[source]
    if step.op in ("Relu", "LeakyRelu"):
        return (low < 0) & (high > 0)
    if step.op == "Clip":
        least, most = step.settings
        return ((low < least) & (high > least)) | ((low < most) & (high > most))
    if step.op == "Round":  # within half a step of its input, however wide
        return torch.zeros_like(low, dtype=torch.bool)
    return low < high


def _pass_on(box: Box, step: Step) -> None:
    """Compute a step's interval again from its sources' better ones, and keep what is narrower."""
    (low, high), noise = interval(step, box)
    box.least[step.target] = torch.fmax(box.least[step.target], low)
    box.most[step.target] = torch.fmin(box.most[step.target], high)
    box.noise[step.target] = noise


def _dot(rows: Tensor, value: Tensor) -> Tensor:
    """Sum over all axes but the first two, (rows, batch)."""
    return torch.einsum("sbn,bn->sb", rows.flatten(2), value.expand(rows.shape[1:]).flatten(1))


def _gathered(c: Tensor, like: Tensor) -> Tensor:
    """Sum coefficients over axes along which a value was repeated."""
    return c.sum_to_size(len(c), *like.shape) if c.shape[1:] != like.shape else c


def _add(coefficients: dict[str, Tensor], name: str, more: Tensor) -> None:
    coefficients[name] = coefficients[name] + more if name in coefficients else more
