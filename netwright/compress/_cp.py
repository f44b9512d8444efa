"""Replace a convolution by four small ones: a sum of products of one vector for each axis.

Paper:    Lebedev, Ganin, Rakhuba, Oseledets, Lempitsky. Speeding-up Convolutional Neural Networks
          Using Fine-tuned CP-Decomposition. ICLR 2015, arXiv:1412.6553, sections 3.1 and 3.2.
Departs:  alternating least squares with a little damping in place of nonlinear least squares; the
          factors start from singular vectors of the unfolded weight, filled up by noise.
Notation: rank = R; factors = K^s, K^y, K^x, K^t: in, down, along, out.
"""

import torch
from torch import Tensor, nn

from netwright.compress._factored import Factored, chain, check_whole, part

__all__ = ["cp"]

_DAMPING = 1e-9  # of the mean diagonal; keeps the equations solvable when directions fall together


def cp(
    layer: nn.Conv2d,
    *,
    rank: int,
    n_rounds: int = 100,
    generator: torch.Generator | None = None,
) -> Factored:
    """Replace a convolution by one across channels, one down columns, one along rows, one across.

    Args:
        layer: left as it is; of one group.
        rank: terms of the sum.
        n_rounds: rounds of alternating least squares.
        generator: of the noise, where `rank` is beyond an axis; torch's global one if None.

    Returns:
        Factors at a local optimum; no best one is known in general.

    Raises:
        ValueError: if `rank` is below 1, or the convolution has groups.

    Example:
        >>> found = cp(nn.Conv2d(8, 16, 3), rank=3)
        >>> [tuple(each.weight.shape) for each in found.layers]
        [(3, 8, 1, 1), (3, 1, 3, 1), (3, 1, 1, 3), (16, 3, 1, 1)]
    """
    check_whole(layer)
    if rank < 1:
        raise ValueError(f"`rank` must be at least 1; got {rank}.")
    weight = layer.weight.detach().double()
    factors = [_start(weight, axis, rank, generator) for axis in range(4)]
    letters = "oihw"
    for _ in range(n_rounds):
        for axis in range(4):
            others = [a for a in range(4) if a != axis]
            rule = "oihw," + ",".join(f"{letters[a]}r" for a in others) + f"->{letters[axis]}r"
            seen = torch.einsum(rule, weight, *(factors[a] for a in others))
            gram = torch.ones(rank, rank, dtype=weight.dtype, device=weight.device)
            for a in others:
                gram = gram * (factors[a].T @ factors[a])
            gram = gram + _DAMPING * gram.diagonal().mean() * torch.eye(rank).to(gram)
            factors[axis] = torch.linalg.solve(gram, seen.T).T
            if axis:  # lengths go to the first
                length = factors[axis].norm(dim=0).clamp(min=torch.finfo(weight.dtype).tiny)
                factors[axis] = factors[axis] / length
                factors[0] = factors[0] * length
    out, into, down, along = factors
    product = torch.einsum("or,ir,hr,wr->oihw", out, into, down, along).to(layer.weight)
    length = out.norm(dim=0) ** 0.5  # shared by the two ends
    out, into = out / length.clamp(min=1e-30), into * length
    bias, at_once = layer.bias is not None, {"rows": False, "columns": False}
    first = part(layer, layer.in_channels, rank, **at_once)
    second = part(layer, rank, rank, rows=True, columns=False, groups=rank)
    third = part(layer, rank, rank, rows=False, columns=True, groups=rank)
    fourth = part(layer, rank, layer.out_channels, **at_once, bias=bias)
    parts = [
        (first, into.T[:, :, None, None]),
        (second, down.T[:, None, :, None]),
        (third, along.T[:, None, None]),
        (fourth, out[:, :, None, None]),
    ]
    return chain(layer, parts, (rank,), product)


def _start(weight: Tensor, axis: int, rank: int, generator: torch.Generator | None) -> Tensor:
    unfolded = weight.movedim(axis, 0).flatten(1)
    found = torch.linalg.svd(unfolded, full_matrices=False)[0][:, :rank]
    missing = rank - found.shape[1]
    if not missing:
        return found
    noise = torch.randn(
        len(found), missing, dtype=weight.dtype, device=weight.device, generator=generator
    )
    return torch.cat([found, nn.functional.normalize(noise, dim=0)], dim=1)
