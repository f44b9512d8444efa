"""Products, convolutions and normalisations."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.artefact._graph import Node

__all__ = ["OPERATORS", "conv", "explicit_pads", "torch_pads"]


def explicit_pads(
    node: Node, sizes: Sequence[int], kernel: Sequence[int], ceil: bool = False
) -> tuple[list[int], list[int]]:
    """Work out how much is padded before and after each spatial axis.

    Args:
        node: a convolution or pooling; its `auto_pad`, `pads`, `strides` and `dilations` are read.
        sizes: of the spatial axes.
        kernel: sizes of the window.
        ceil: whether a last, partial window counts (pooling); the padding after is then enlarged.
    """
    n = len(sizes)
    strides = node.get("strides", (1,) * n)
    reach = [d * (k - 1) + 1 for d, k in zip(node.get("dilations", (1,) * n), kernel, strict=True)]
    mode = node.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max((math.ceil(size / s) - 1) * s + r - size, 0)
            for size, s, r in zip(sizes, strides, reach, strict=True)
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        return (less, more) if mode == "SAME_UPPER" else (more, less)
    pads: Sequence[int] = node.get("pads", (0,) * 2 * n) if mode == "NOTSET" else (0,) * 2 * n
    before, after = list(pads[:n]), list(pads[n:])
    if ceil:
        for i in range(n):
            windows = math.ceil((sizes[i] + before[i] + after[i] - reach[i]) / strides[i]) + 1
            if (windows - 1) * strides[i] >= sizes[i] + before[i]:
                windows -= 1  # a window that starts in the padding after is left out
            after[i] = (windows - 1) * strides[i] + reach[i] - sizes[i] - before[i]
    return before, after


def torch_pads(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Arrange padding as `F.pad` wants it: last axis first.

    Args:
        before: for each axis.
        after: for each axis.
    """
    return [p for pair in zip(reversed(before), reversed(after), strict=True) for p in pair]


def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve in one, two or three dimensions, as `Conv` says.

    Args:
        node: whose attributes are read.
        x: (batch, channels, *size).
        weight: (out channels, channels of a group, *kernel).
        bias: (out channels,).
    """
    n = x.dim() - 2
    before, after = explicit_pads(node, x.shape[2:], weight.shape[2:])
    padding: Sequence[int] = before
    if before != after:
        x, padding = F.pad(x, torch_pads(before, after)), (0,) * n
    run = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    strides, dilations = node.get("strides", (1,) * n), node.get("dilations", (1,) * n)
    return run(x, weight, bias, strides, padding, dilations, node.get("group", 1))  # type: ignore[arg-type]


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    n = x.dim() - 2
    strides, dilations = node.get("strides", (1,) * n), node.get("dilations", (1,) * n)
    extra = node.get("output_padding", (0,) * n)
    mode = node.get("auto_pad", "NOTSET")
    run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    full = run(x, weight, None, strides, 0, 0, node.get("group", 1), dilations)
    wanted = node.get("output_shape")
    if wanted is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [size * s for size, s in zip(x.shape[2:], strides, strict=True)]
    if wanted is None:
        pads = node.get("pads", (0,) * 2 * n)
        before, after = pads[:n], pads[n:]
    else:
        total = [f + e - w for f, e, w in zip(full.shape[2:], extra, wanted[-n:], strict=True)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        before, after = (less, more) if mode == "SAME_UPPER" else (more, less)
    end = [e - a for e, a in zip(extra, after, strict=True)]
    cropped = F.pad(full, torch_pads([-b for b in before], end))
    return cropped if bias is None else cropped + bias.reshape(-1, *[1] * n)


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.transpose(0, 1) if node.get("transA", 0) else a
    b = b.transpose(0, 1) if node.get("transB", 0) else b
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if c is not None and alpha == beta == 1 and c.dim() == 1 and len(c) == b.shape[1]:
        return F.linear(a, b.transpose(0, 1), c)
    product = a @ b if alpha == 1 else alpha * (a @ b)
    return product if c is None else product + (c if beta == 1 else beta * c)


def _einsum(node: Node, *xs: Tensor) -> Tensor:
    return torch.einsum(node.get("equation").replace(" ", ""), *xs)


def _batch_norm(
    node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, var, scale, bias, eps=node.get("epsilon", 1e-5))


def _instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def _layer_norm(
    node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, ...]:
    axes = tuple(range(node.get("axis", -1) % x.dim(), x.dim()))
    mean = x.mean(axes, keepdim=True)
    centred = x - mean
    inverse = torch.rsqrt(centred.square().mean(axes, keepdim=True) + node.get("epsilon", 1e-5))
    y = centred * inverse * scale
    return (y if bias is None else y + bias), mean, inverse


def _rms_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    axes = tuple(range(node.get("axis", -1) % x.dim(), x.dim()))
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + node.get("epsilon", 1e-5)) * scale


def _group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups, channels = node.get("num_groups"), x.shape[1]
    if node.opset < 21:  # one scale a group, before one a channel
        scale = scale.repeat_interleave(channels // groups)
        bias = bias.repeat_interleave(channels // groups)
    return F.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


def _lp_normalisation(node: Node, x: Tensor) -> Tensor:
    return F.normalize(x, p=node.get("p", 2), dim=node.get("axis", -1), eps=0.0)


def _local_response(node: Node, x: Tensor) -> Tensor:
    size = node.get("size")
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    squares = F.pad(x.square().movedim(1, -1), (before, after)).unfold(-1, size, 1).sum(-1)
    scale = node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * squares.movedim(-1, 1)
    return x / scale ** node.get("beta", 0.75)


def _mean_variance(node: Node, x: Tensor) -> Tensor:
    axes = node.get("axes", (0, 2, 3))
    centred = x - x.mean(axes, keepdim=True)
    return centred / (centred.square().mean(axes, keepdim=True).sqrt() + 1e-9)


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "BatchNormalization": _batch_norm,
    "Conv": conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _lp_normalisation,
    "MatMul": lambda node, a, b: torch.matmul(a, b),
    "MeanVarianceNormalization": _mean_variance,
    "RMSNormalization": _rms_norm,
}
