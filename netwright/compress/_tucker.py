"""Replace a convolution by three: fewer channels come in, fewer go out.

Paper:    Kim, Park, Yoo, Choi, Yang, Shin. Compression of Deep Convolutional Neural Networks for
          Fast and Low Power Mobile Applications. ICLR 2016, arXiv:1511.06530, section 3.1
          (Tucker-2).
          De Lathauwer, De Moor, Vandewalle. On the best rank-1 and rank-(R1, ..., RN) approximation
          of higher-order tensors. SIAM J. Matrix Anal. Appl. 21(4), 2000, algorithm 4.2 (HOOI).
Departs:  ranks are given or chosen by energy, not by variational Bayes.
Notation: ranks = (R4, R3): out, in; core = C, out and in factors = U4, U3.
"""

import torch
from torch import Tensor, nn

from netwright.compress._factored import Factored, Rank, chain, check_whole, chosen, part

__all__ = ["tucker"]


def tucker(layer: nn.Conv2d, *, ranks: tuple[Rank, Rank], n_rounds: int = 10) -> Factored:
    """Replace a convolution by one of single pixels, a small one, and one of single pixels.

    Args:
        layer: left as it is; of one group.
        ranks: channels that leave the small convolution, and that enter it; each a number, or what
            chooses it by the singular values of the weight unfolded along that axis.
        n_rounds: of improvement by turns (HOOI) after the start (HOSVD), which is at most sqrt(2)
            times as far off as the best.

    Raises:
        ValueError: if a rank is not possible, or the convolution has groups.

    Example:
        >>> found = tucker(nn.Conv2d(8, 16, 3), ranks=(6, 4))
        >>> [tuple(each.weight.shape) for each in found.layers]
        [(4, 8, 1, 1), (6, 4, 3, 3), (16, 6, 1, 1)]
    """
    check_whole(layer)
    weight = layer.weight.detach().double()
    along_out, along_in = weight.flatten(1), weight.transpose(0, 1).flatten(1)
    unfolded = [torch.linalg.svd(each, full_matrices=False) for each in (along_out, along_in)]
    pixels = weight.shape[2] * weight.shape[3]
    n_out = chosen(ranks[0], unfolded[0][1], along_out.shape)
    n_in = min(chosen(ranks[1], unfolded[1][1], along_in.shape), n_out * pixels)
    n_out = min(n_out, n_in * pixels)  # the core has no more directions
    out, into = unfolded[0][0][:, :n_out], unfolded[1][0][:, :n_in]
    for _ in range(n_rounds):
        out = _directions(torch.einsum("oihw,ir->orhw", weight, into), n_out)
        seen = torch.einsum("oihw,or->rihw", weight, out)
        into = _directions(seen.transpose(0, 1), n_in)
    core = torch.einsum("oihw,or,is->rshw", weight, out, into)
    product = torch.einsum("rshw,or,is->oihw", core, out, into).to(layer.weight)
    bias = layer.bias is not None
    first = part(layer, layer.in_channels, n_in, rows=False, columns=False)
    second = part(layer, n_in, n_out, rows=True, columns=True)
    third = part(layer, n_out, layer.out_channels, rows=False, columns=False, bias=bias)
    parts = [(first, into.T[:, :, None, None]), (second, core), (third, out[:, :, None, None])]
    return chain(layer, parts, (n_out, n_in), product)


def _directions(tensor: Tensor, n: int) -> Tensor:
    # The directions of the first axis that hold most.
    return torch.linalg.svd(tensor.flatten(1), full_matrices=False)[0][:, :n]
