"""Where sequences end, and what may be asked of their own steps alone.

A sequence ends with its last step at which any channel is present; what is missing before lies
inside.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["flip_within", "keep_within", "mean_within", "within"]


def within(x: Float[Tensor, "batch channels steps"]) -> Float[Tensor, "batch 1 steps"]:
    """Return 1 for each step up to a sequence's last present value, 0 behind it.

    Args:
        x: sequences, NaN where a value is missing.

    Example:
        >>> within(torch.tensor([[[float("nan"), 2.0, float("nan")]]]))
        tensor([[[1., 1., 0.]]])
    """
    present = (~torch.isnan(x)).to(x.dtype).amax(dim=1, keepdim=True)  # (B, 1, T)
    later = present.flip(2).cumsum(dim=2).flip(2)  # present values from this step on
    return (later > 0).to(x.dtype)


def mean_within(
    states: Float[Tensor, "batch *axes steps"], mask: Float[Tensor, "batch 1 steps"]
) -> Float[Tensor, "batch *axes"]:
    """Average over the steps of each sequence; zero for an empty one.

    Args:
        states: numbers of each step.
        mask: 1 inside a sequence, 0 behind its end.
    """
    mask = mask.view(mask.shape[0], *[1] * (states.ndim - 2), mask.shape[2])
    return (states * mask).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


def flip_within(
    states: Float[Tensor, "batch steps width"], mask: Float[Tensor, "batch 1 steps"]
) -> Float[Tensor, "batch steps width"]:
    """Turn each sequence around between its first and its last step; twice gives it back.

    Args:
        states: one vector a step.
        mask: 1 inside a sequence, 0 behind its end.
    """
    B, T, D = states.shape
    length = mask.sum(dim=2).long()  # (B, 1)
    place = torch.remainder(length - 1 - torch.arange(T, device=states.device), T)  # (B, T)
    return states.gather(1, place.unsqueeze(2).expand(B, T, D))


def keep_within(
    states: Float[Tensor, "batch *axes steps"], mask: Float[Tensor, "batch 1 steps"]
) -> Float[Tensor, "batch *axes steps"]:
    """Set what lies behind each sequence's end to zero.

    Args:
        states: numbers of each step.
        mask: 1 inside a sequence, 0 behind its end.
    """
    return states * (mask if states.ndim == 3 else mask.unsqueeze(2))
