"""Bound all values of a network while it runs, so that the bounds can be trained.

Paper:    intervals: Gowal et al. On the Effectiveness of Interval Bound Propagation for Training
          Verifiably Robust Models. 2018, arXiv:1810.12715, section 3, equation 6.
          backward: Zhang, Weng, Chen, Hsieh, Daniel. Efficient Neural Network Robustness
          Certification with General Activation Functions (CROWN). NeurIPS 2018, arXiv:1811.00866,
          section 3.2; on graphs as Xu et al. NeurIPS 2020, arXiv:2002.12920.
Departs:  below and above sigmoid and tanh lie two lines of one slope, the lesser one of both ends;
          functions without lines of their own keep their interval. Rounding is not counted: these
          bounds are for training, `audits.verify` proves.
Notation: low, high = l, u; `rows` = C, the specification.

Operations are followed as the network executes them (`_bound_rules`), so any Python that makes up a
network will do. Batch normalisation that is training takes the statistics of the inputs themselves
for the bounds too (Xu et al., appendix).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from netwright.learn._bound_rules import Ends, Recorder, Step

__all__ = ["Bounded", "bounded", "linear_bounds", "margins", "require_bounds"]


@dataclass(slots=True, eq=False)
class Bounded:
    """What a network gave, and between which bounds it stays.

    Attributes:
        outputs: for the inputs themselves.
        low: least outputs over all inputs of the box.
        high: largest outputs.
        ends: of every value on the way, in order.
        steps: what made them, in order.
        place: of the outputs among the values.
    """

    outputs: Tensor
    low: Tensor
    high: Tensor
    ends: list[Ends] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    place: int = 0


def bounded(
    network: nn.Module,
    x: Float[Tensor, "batch *input"],
    low: Float[Tensor, "batch *input"],
    high: Float[Tensor, "batch *input"],
) -> Bounded:
    """Run a network on inputs, and bound every value over a box around each of them.

    Args:
        network: one tensor in, one tensor out; its statistics of batches, if it keeps any, see the
            inputs alone.
        x: the inputs.
        low: least inputs.
        high: largest inputs.

    Returns:
        Outputs and bounds, differentiable in the weights and the inputs.

    Raises:
        ValueError: if the network does what cannot be bounded; names all of it.
    """
    x = x.view_as(x)  # a tensor of our own, known by its identity
    recorder = Recorder(x, low, high)
    with recorder:
        outputs = network(x)
    if recorder.refused:
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(recorder.refused))
        raise ValueError(
            f"`network` cannot be trained by its bounds, for it has operations without: {names}. "
            f"Choose a network without them, or another training."
        )
    place = recorder.places.get(id(outputs))
    if place is None:  # it does not look at its input
        return Bounded(outputs, outputs, outputs, [(outputs, outputs)])
    return Bounded(outputs, *recorder.ends[place], recorder.ends, recorder.steps, place)


def require_bounds(network: nn.Module, x: Float[Tensor, "batch *input"]) -> None:
    """Refuse a network that cannot be bounded, before any training.

    Args:
        network: left as it is.
        x: a few inputs.

    Raises:
        ValueError: if it cannot be bounded; names all operations without bounds.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            bounded(network, x, x, x)
    finally:
        network.train(was_training)


def margins(
    found: Bounded, y: Int[Tensor, "batch"], *, through: bool = False
) -> Float[Tensor, "batch classes"]:
    """Bound by how much the output of the own class exceeds every other's, from below.

    Args:
        found: of a network with one output a class.
        y: own classes.
        through: whether linear bounds go back through all activations to the input (CROWN); if not,
            only through what is linear at the end, where intervals take over (the "elision of the
            last layer").

    Returns:
        Lower bounds; 0 for the own class.
    """
    B, K = found.outputs.shape
    own = functional.one_hot(y, K).to(found.outputs.dtype)
    rows = own[None] - torch.eye(K, dtype=own.dtype, device=own.device)[:, None]  # (K, B, K)
    return linear_bounds(found, rows, through=through).T


def linear_bounds(
    found: Bounded, rows: Float[Tensor, "rows batch width"], *, through: bool = True
) -> Float[Tensor, "rows batch"]:
    """Bound linear functions of the outputs from below.

    Args:
        found: what is known of the values before.
        rows: coefficients.
        through: as for `margins`.
    """
    coefficients: dict[int, Tensor] = {found.place: rows}
    total = torch.zeros(rows.shape[:2], dtype=rows.dtype, device=rows.device)
    for step in reversed(found.steps):
        c = coefficients.pop(step.target, None)
        if c is None:
            continue
        if step.kind == "affine":
            zeros = [torch.zeros_like(found.ends[place][0]) for place in step.sources]
            assert step.run is not None
            constant, pull = torch.func.vjp(step.run, *zeros)[:2]
            total = total + _dot(c, constant)
            for place, pulled in zip(step.sources, torch.func.vmap(pull)(c), strict=True):
                _add(coefficients, place, pulled)
        elif through and step.kind == "lines":
            assert step.lines is not None
            (place,) = step.sources
            slope_low, offset_low, slope_up, offset_up = step.lines(*found.ends[place])
            positive, negative = c.clamp(min=0.0), c.clamp(max=0.0)
            total = total + _dot(positive, offset_low) + _dot(negative, offset_up)
            _add(coefficients, place, positive * slope_low + negative * slope_up)
        elif through and step.kind == "pick":
            # Below: the input that is largest for sure; above: the largest upper end.
            (place,) = step.sources
            assert step.run is not None
            low, _ = found.ends[place]
            pull = torch.func.vjp(step.run, low)[1]
            total = total + _dot(c.clamp(max=0.0), found.ends[step.target][1])
            _add(coefficients, place, torch.func.vmap(pull)(c.clamp(min=0.0))[0])
        else:
            total = total + _least(c, found.ends[step.target])
    for place, c in coefficients.items():  # the input
        total = total + _least(c, found.ends[place])
    return total


def _dot(rows: Tensor, value: Tensor) -> Tensor:
    return (rows * value).flatten(2).sum(2)


def _least(c: Tensor, ends: Ends) -> Tensor:
    low, high = ends
    return _dot(c, (low + high) / 2) - _dot(c.abs(), (high - low) / 2)


def _add(coefficients: dict[int, Tensor], place: int, more: Tensor) -> None:
    coefficients[place] = coefficients[place] + more if place in coefficients else more
