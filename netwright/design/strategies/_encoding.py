"""Codes as rows of numbers, for whatever learns from them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from netwright.design.spaces._space import Code, Space

__all__ = ["encode", "width"]


def width(space: Space) -> int:
    """Count the numbers of an encoded code.

    Args:
        space: whose codes.
    """
    return sum(len(d.options) + d.ordered for d in space.decisions)


def encode(space: Space, codes: Sequence[Code]) -> Float[Tensor, "codes width"]:
    """Write each decision as a one among zeros, and an ordered one as its place in [-1, 1] besides.

    Args:
        space: whose codes.
        codes: an option of each decision.
    """
    chosen = torch.tensor(codes).reshape(len(codes), len(space.decisions))
    columns = []
    for place, decision in enumerate(space.decisions):
        size = len(decision.options)
        columns.append(torch.nn.functional.one_hot(chosen[:, place], size).float())
        if decision.ordered:
            columns.append((2 * chosen[:, place : place + 1] / max(size - 1, 1) - 1).float())
    return torch.cat(columns, dim=1)
