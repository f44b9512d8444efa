"""Pooling over windows and over whole maps."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.artefact._graph import Node
from netwright.artefact._operators._layers import explicit_pads, torch_pads

__all__ = ["OPERATORS"]


def _max_pool(node: Node, x: Tensor) -> Tensor:
    n, kernel = x.dim() - 2, node.get("kernel_shape")
    before, after = explicit_pads(node, x.shape[2:], kernel, bool(node.get("ceil_mode", 0)))
    lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    if any(before) or any(after):
        x = F.pad(x, torch_pads(before, after), value=lowest)
    run = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]
    return run(x, kernel, node.get("strides", (1,) * n), 0, node.get("dilations", (1,) * n))


def _average_pool(node: Node, x: Tensor) -> Tensor:
    n, kernel = x.dim() - 2, node.get("kernel_shape")
    before, after = explicit_pads(node, x.shape[2:], kernel, bool(node.get("ceil_mode", 0)))
    if not any(before) and not any(after):
        return _window_sums(node, x) / math.prod(kernel)
    cells = x.new_ones(1, 1, *x.shape[2:])
    if node.get("count_include_pad", 0):
        # What the file pads counts; what is added for a last, partial window does not.
        pads = node.get("pads", (0,) * 2 * n)
        counted = pads[n:] if node.get("auto_pad", "NOTSET") == "NOTSET" else after
        cells = F.pad(cells, torch_pads(before, counted), value=1.0)
        cells = F.pad(
            cells, torch_pads([0] * n, [a - c for a, c in zip(after, counted, strict=True)])
        )
    else:
        cells = F.pad(cells, torch_pads(before, after))
    padded = F.pad(x, torch_pads(before, after))
    return _window_sums(node, padded) / _window_sums(node, cells)


def _window_sums(node: Node, x: Tensor) -> Tensor:
    n, kernel = x.dim() - 2, node.get("kernel_shape")
    strides, dilations = node.get("strides", (1,) * n), node.get("dilations", (1,) * n)
    if all(d == 1 for d in dilations):
        run = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1]
        return run(x, kernel, strides) * math.prod(kernel)
    flat = x.reshape(-1, 1, *x.shape[2:])
    conv = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    sums = conv(flat, x.new_ones(1, 1, *kernel), None, strides, 0, dilations)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def _lp_pool(node: Node, x: Tensor) -> Tensor:
    n, p = x.dim() - 2, node.get("p", 2)
    before, after = explicit_pads(
        node, x.shape[2:], node.get("kernel_shape"), bool(node.get("ceil_mode", 0))
    )
    powers = F.pad(x.abs() ** p, torch_pads(before, after)) if n else x
    return _window_sums(node, powers) ** (1 / p)


def _over_maps(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda node, x: function(x, tuple(range(2, x.dim())), keepdim=True)


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _over_maps(torch.mean),
    "GlobalMaxPool": _over_maps(torch.amax),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
}
