"""Replace a convolution by ones that look at single channels, or along single axes.

Paper:    Chollet. Xception: Deep Learning with Depthwise Separable Convolutions. CVPR 2017,
          arXiv:1610.02357 (`separable`).
          Jin, Dundar, Culurciello. Flattened Convolutional Neural Networks for Feedforward
          Acceleration. ICLR workshop 2015, arXiv:1412.5474, section 3 (`flattened`).
Departs:  both papers train such layers from the start; here they are fitted to a trained one. For
          `separable` that is a singular value decomposition of each input channel, and exact; for
          `flattened`, of each filter by turns, from the best pair of axes.
Notation: multiplier = depthwise filters of each channel; alpha, beta, gamma = across, down, along.
"""

import torch
from torch import nn

from netwright.compress._factored import Factored, chain, check_whole, part

__all__ = ["flattened", "separable"]


def separable(layer: nn.Conv2d, *, multiplier: int = 1) -> Factored:
    """Replace a convolution by one of each channel alone, and one of single pixels.

    Args:
        layer: left as it is; of one group.
        multiplier: filters of each channel, at most the kernel's pixels and the outputs.

    Returns:
        The nearest such pair; for trained layers it is seldom near, so train again.

    Raises:
        ValueError: if `multiplier` is not possible, or the convolution has groups.

    Example:
        >>> found = separable(nn.Conv2d(8, 16, 3))
        >>> [tuple(each.weight.shape) for each in found.layers]
        [(8, 1, 3, 3), (16, 8, 1, 1)]
    """
    check_whole(layer)
    out, into, height, width = layer.weight.shape
    most = min(out, height * width)
    if not 1 <= multiplier <= most:
        raise ValueError(f"`multiplier` must lie in 1..{most}; got {multiplier}.")
    each = layer.weight.detach().double().transpose(0, 1).flatten(2)  # (in, out, pixels)
    left, values, right = torch.linalg.svd(each, full_matrices=False)
    root = values[:, None, :multiplier].sqrt()
    mixing = left[:, :, :multiplier] * root  # (in, out, multiplier)
    looking = right[:, :multiplier] * root.transpose(1, 2)  # (in, multiplier, pixels)
    product = (mixing @ looking).transpose(0, 1).reshape(layer.weight.shape).to(layer.weight)
    many, bias = into * multiplier, layer.bias is not None
    first = part(layer, into, many, rows=True, columns=True, groups=into)
    second = part(layer, many, out, rows=False, columns=False, bias=bias)
    parts = [
        (first, looking.reshape(first.weight.shape)),
        (second, mixing.permute(1, 0, 2).reshape(second.weight.shape)),
    ]
    return chain(layer, parts, (multiplier,), product)


def flattened(layer: nn.Conv2d, *, n_rounds: int = 20) -> Factored:
    """Replace a convolution by one across channels, one down columns, and one along rows.

    Args:
        layer: left as it is; of one group.
        n_rounds: turns of fitting one factor of every filter while the others stay.

    Raises:
        ValueError: if the convolution has groups.
    """
    check_whole(layer)
    weight = layer.weight.detach().double()
    out, into, height, width = weight.shape
    _, _, right = torch.linalg.svd(weight.flatten(2), full_matrices=False)
    image = right[:, 0].reshape(out, height, width)  # of each filter, the best for all channels
    left, _, right = torch.linalg.svd(image, full_matrices=False)
    down, along = left[:, :, 0], right[:, 0]  # of unit length
    across = torch.einsum("oihw,oh,ow->oi", weight, down, along)
    for _ in range(n_rounds):
        down = _unit(torch.einsum("oihw,oi,ow->oh", weight, across, along))
        along = _unit(torch.einsum("oihw,oi,oh->ow", weight, across, down))
        across = torch.einsum("oihw,oh,ow->oi", weight, down, along)
    product = torch.einsum("oi,oh,ow->oihw", across, down, along).to(layer.weight)
    first = part(layer, into, out, rows=False, columns=False)
    second = part(layer, out, out, rows=True, columns=False, groups=out)
    third = part(layer, out, out, rows=False, columns=True, groups=out, bias=layer.bias is not None)
    parts = [
        (first, across[:, :, None, None]),
        (second, down[:, None, :, None]),
        (third, along[:, None, None, :]),
    ]
    return chain(layer, parts, (1,), product)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=1)
