"""Numbers as whole multiples of a step: fixed point, of any number of bits.

Paper:    Jacob et al. Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference. CVPR 2018, arXiv:1712.05877. Equation 1
          (r = S (q - Z)) and section 3 (asymmetric ranges hold zero exactly).
Departs:  symmetric ranges leave out the lowest code, so that a number and its negative are alike.
Notation: step = S, zero = Z, codes = q.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from netwright.compress._weights import constraint, weights

__all__ = ["FixedPoint", "fixed_point", "round_weights"]


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Numbers as codes.

    Attributes:
        codes: whole numbers; symmetric from -(2^(bits-1) - 1), asymmetric from 0.
        step: distance of neighbouring values, in units of the numbers; shaped so that it can be
            multiplied with `codes`.
        zero: the code that stands for 0; shaped like `step`.
        bits: of a code.
    """

    codes: Int[Tensor, "*shape"]
    step: Float[Tensor, "*ones"]
    zero: Int[Tensor, "*ones"]
    bits: int

    @property
    def values(self) -> Tensor:
        """The numbers that the codes stand for."""
        return self.step * (self.codes - self.zero).to(self.step.dtype)


def fixed_point(
    x: Float[Tensor, "*shape"],
    *,
    bits: int = 8,
    axis: int | None = None,
    symmetric: bool = True,
) -> FixedPoint:
    """Round numbers to whole multiples of a step.

    Args:
        x: the numbers.
        bits: of a code, from 2 to 16.
        axis: each place along it has a step of its own (a weight's output channels have axis 0);
            None gives one step to all.
        symmetric: the range reaches as far below zero as above; otherwise from the smallest to the
            largest number, zero included.

    Returns:
        Codes and steps. No number inside the range moves by more than half a step.

    Raises:
        ValueError: if `bits` is out of range, or a number is not finite.

    Example:
        >>> fixed_point(torch.tensor([-1.0, 0.3, 0.5]), bits=3).codes.tolist()
        [-3, 1, 2]
        >>> fixed_point(torch.tensor([0.0, 0.4, 1.0]), bits=2, symmetric=False).codes.tolist()
        [0, 1, 3]
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"`bits` must lie in 2..16; got {bits}.")
    if not x.isfinite().all():
        raise ValueError("`x` holds numbers that are not finite; no step reaches them.")
    others = [k for k in range(x.ndim) if axis is None or k != axis % x.ndim]
    low = x.amin(others, keepdim=True).clamp(max=0) if x.numel() else x.new_zeros([1] * x.ndim)
    high = x.amax(others, keepdim=True).clamp(min=0) if x.numel() else x.new_zeros([1] * x.ndim)
    if symmetric:
        least, most = 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1
        step = torch.maximum(high, -low) / most
    else:
        least, most = 0, 2**bits - 1
        step = (high - low) / most
    step = torch.where(step > 0, step, torch.ones_like(step))
    zero = torch.zeros_like(step) if symmetric else (-low / step).round()
    codes = ((x / step).round() + zero).clamp(least, most)
    return FixedPoint(codes.to(torch.int32), step, zero.to(torch.int32), bits)


def round_weights(
    network: nn.Module,
    bits: int | Mapping[str, int] = 8,
    *,
    per_channel: bool = True,
    least_axes: int = 2,
) -> dict[str, float]:
    """Round a network's weights to fixed point, without any training.

    Args:
        network: changed in place; zeros stay zero. It must not be constrained.
        bits: of a code, for all weights or by name.
        per_channel: each output channel has a step of its own.
        least_axes: without names, parameters with fewer axes are left alone.

    Returns:
        For each weight, the mean squared error that rounding brought in.

    Raises:
        ValueError: if the network has no such weight, a weight is held by a constraint, or `bits`
            is out of range.
    """
    found = weights(network, least_axes=0)
    wanted = weights(network, least_axes=least_axes)
    chosen = bits if isinstance(bits, Mapping) else dict.fromkeys(wanted, bits)
    errors = {}
    for name, n in chosen.items():
        if constraint(network, name) is not None:
            raise ValueError(f"`{name}` is held by a constraint; `settle` the network first.")
        axis = 0 if per_channel and found[name].ndim > 1 else None
        rounded = fixed_point(found[name], bits=n, axis=axis).values
        errors[name] = (rounded - found[name]).square().mean().item()
        found[name].copy_(rounded)  # detached, but the same memory
    return errors
