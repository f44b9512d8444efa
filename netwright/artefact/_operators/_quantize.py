"""Whole-number arithmetic of quantised networks, in floating point.

A quantised value is kept as a float that holds a whole number, so that gradients pass: straight
through the rounding, and zero where the value is clipped. Products stay exact while sums are below
2**24.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from netwright.artefact._graph import Node, dtypes
from netwright.artefact._operators._layers import conv

__all__ = ["OPERATORS"]


def _limits(kind: torch.dtype) -> tuple[int, int]:
    info = torch.iinfo(kind)
    return info.min, info.max


def _rounded(x: Tensor, kind: torch.dtype) -> Tensor:
    inside = x.clamp(*_limits(kind))
    return inside + (inside.round() - inside).detach()


def _along(node: Node, values: Tensor, x: Tensor) -> Tensor:
    """Shape one number a channel so that it meets the channel axis of `x`."""
    if values.numel() == 1:
        return values.reshape(())
    axis = node.get("axis", 1) % x.dim()
    return values.reshape(-1, *[1] * (x.dim() - axis - 1))


def _kind(node: Node, zero: Tensor | None) -> torch.dtype:
    if zero is not None:
        return zero.dtype
    return dtypes()[node.get("output_dtype")] if node.get("output_dtype", 0) else torch.uint8


def _quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    kind = _kind(node, zero)
    steps = x.to(scale.dtype) / _along(node, scale, x)
    rounded = steps + (steps.round() - steps).detach()
    offset = 0 if zero is None else _along(node, zero, x).to(scale.dtype)
    return (rounded + offset).clamp(*_limits(kind))


def _dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    values = x.to(scale.dtype)
    if zero is not None:
        values = values - _along(node, zero, x).to(scale.dtype)
    return values * _along(node, scale, x)


def _dynamic(node: Node, x: Tensor) -> tuple[Tensor, ...]:
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = ((high - low) / 255).detach()
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = (-low / scale).round().clamp(0, 255).detach()
    steps = x / scale
    rounded = steps + (steps.round() - steps).detach()
    return (rounded + zero).clamp(0, 255), scale, zero


def _whole(x: Tensor, zero: Tensor | None, per_row: bool = False) -> Tensor:
    values = x if x.is_floating_point() else x.float()
    if zero is None:
        return values
    offset = zero.float()
    return values - (offset.unsqueeze(-1) if per_row and offset.numel() > 1 else offset)


def _matmul_integer(
    node: Node, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    return _whole(a, a_zero, per_row=True) @ _whole(b, b_zero)


def _conv_integer(
    node: Node, x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None
) -> Tensor:
    return conv(node, _whole(x, x_zero), _filters(w, w_zero))


def _filters(w: Tensor, zero: Tensor | None) -> Tensor:
    if zero is None or zero.numel() == 1:
        return _whole(w, zero)
    return w.float() - zero.float().reshape(-1, *[1] * (w.dim() - 1))


def _qlinear_matmul(
    node: Node,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    product = _whole(a, a_zero, per_row=True) @ _whole(b, b_zero)
    return _rounded(product * (a_scale * b_scale / y_scale) + y_zero.float(), y_zero.dtype)


def _qlinear_conv(
    node: Node,
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    sums = conv(node, _whole(x, x_zero), _filters(w, w_zero))
    spread = [1] * (x.dim() - 2)
    if bias is not None:
        sums = sums + bias.float().reshape(-1, *spread)
    factor = x_scale * w_scale / y_scale
    factor = factor.reshape(-1, *spread) if factor.numel() > 1 else factor
    return _rounded(sums * factor + y_zero.float(), y_zero.dtype)


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
}
