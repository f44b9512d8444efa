"""Resize and Upsample: one axis after the other, each a product with a small matrix of weights."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from netwright.artefact._graph import Node

__all__ = ["OPERATORS"]


def _resize(
    node: Node,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    if node.opset < 11:  # the second input held the scales, and positions were asymmetric
        return _by_scales(x, (roi if roi is not None else torch.ones(1)).tolist(), node)
    axes = [a % x.dim() for a in node.get("axes", tuple(range(x.dim())))]
    place = node.get("coordinate_transformation_mode", "half_pixel")
    for i, axis in enumerate(axes):
        n_in = x.shape[axis]
        if sizes is not None and sizes.numel():
            n_out = int(sizes[i])
            scale = n_out / n_in
        else:
            assert scales is not None  # checked before any run
            scale = float(scales[i])
            n_out = math.floor(n_in * scale)
        if n_out != n_in or scale != 1:
            x = _one_axis(x, axis, n_out, scale, node, place)
    return x


def _upsample(node: Node, x: Tensor, scales: Tensor | None = None) -> Tensor:
    given = node.get("scales") if scales is None else scales.tolist()
    return _by_scales(x, given, node)


def _by_scales(x: Tensor, scales: Sequence[float], node: Node) -> Tensor:
    for axis, scale in enumerate(scales):
        if scale != 1:
            n_out = math.floor(x.shape[axis] * scale)
            x = _one_axis(x, axis, n_out, scale, node, "asymmetric")
    return x


def _one_axis(x: Tensor, axis: int, n_out: int, scale: float, node: Node, place: str) -> Tensor:
    n_in = x.shape[axis]
    positions = _positions(n_in, n_out, scale, place)
    if node.get("mode", "nearest") == "nearest":
        default = "floor" if node.opset < 11 else "round_prefer_floor"
        nearest = _nearest(positions, node.get("nearest_mode", default)).clamp(0, n_in - 1)
        return x.index_select(axis, nearest.to(x.device))
    if node.get("mode") == "cubic":
        outside = bool(node.get("exclude_outside", 0))
        weights = _cubic(positions, n_in, node.get("cubic_coeff_a", -0.75), outside)
    else:
        weights = _linear(positions, n_in)
    weights = weights.to(x.device, x.dtype)  # (out, in)
    return (x.movedim(axis, -1) @ weights.T).movedim(-1, axis)


def _positions(n_in: int, n_out: int, scale: float, place: str) -> Tensor:
    """Where each output element lies on the input axis, in elements of the input."""
    out = torch.arange(n_out, dtype=torch.float32)
    if place == "align_corners":
        return out * (n_in - 1) / (n_out - 1) if n_out > 1 else out * 0
    if place == "asymmetric":
        return out / scale
    if place == "pytorch_half_pixel" and n_out == 1:
        return out * 0
    middle = (out + 0.5) / scale - 0.5
    if place == "half_pixel_symmetric":
        return middle + n_in / 2 * (1 - n_out / (scale * n_in))
    return middle


def _nearest(positions: Tensor, mode: str) -> Tensor:
    rounding: dict[str, Callable[[Tensor], Tensor]] = {
        "ceil": torch.ceil,
        "floor": torch.floor,
        "round_prefer_ceil": lambda p: torch.floor(p + 0.5),
        "round_prefer_floor": lambda p: torch.ceil(p - 0.5),
    }
    return rounding[mode](positions).long()


def _linear(positions: Tensor, n_in: int) -> Tensor:
    inside = positions.clamp(0, n_in - 1)
    first = inside.floor().long()
    share = inside - first
    weights = torch.zeros(len(positions), n_in)
    rows = torch.arange(len(positions))
    weights[rows, first] += 1 - share
    weights[rows, (first + 1).clamp(max=n_in - 1)] += share
    return weights


def _cubic(positions: Tensor, n_in: int, a: float, exclude_outside: bool) -> Tensor:
    # Keys, Cubic convolution interpolation, 1981, equation 15 with a free coefficient.
    first = positions.floor().long()
    share = (positions - first).unsqueeze(1)
    distance = torch.cat([1 + share, share, 1 - share, 2 - share], 1)  # (out, 4)
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a
    taps = torch.where(distance <= 1, near, far)
    places = first.unsqueeze(1) + torch.arange(-1, 3)
    if exclude_outside:
        taps = torch.where((places >= 0) & (places < n_in), taps, torch.zeros(()))
        taps = taps / taps.sum(1, keepdim=True)
    weights = torch.zeros(len(positions), n_in)
    return weights.scatter_add(1, places.clamp(0, n_in - 1), taps)


OPERATORS: dict[str, Callable[..., Tensor]] = {"Resize": _resize, "Upsample": _upsample}
