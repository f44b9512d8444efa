"""Moving elements about: shapes, slices, look-ups, padding."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.artefact._graph import Node
from netwright.artefact._operators._layers import torch_pads

__all__ = ["OPERATORS"]


def _ints(node: Node, attribute: str, given: Tensor | None) -> list[int] | None:
    """Read numbers that early operator sets keep in an attribute and later ones in an input."""
    if given is not None:
        return given.reshape(-1).tolist()
    value = node.get(attribute)
    return None if value is None else list(value)


def _reshape(node: Node, x: Tensor, shape: Tensor | None = None) -> Tensor:
    sizes = _ints(node, "shape", shape) or []
    if not node.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _transpose(node: Node, x: Tensor) -> Tensor:
    return x.permute(node.get("perm", tuple(reversed(range(x.dim())))))


def _squeeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = _ints(node, "axes", axes)
    return x.squeeze() if chosen is None else x.squeeze(tuple(chosen))


def _unsqueeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = _ints(node, "axes", axes) or []
    rank = x.dim() + len(chosen)
    for axis in sorted(a % rank for a in chosen):
        x = x.unsqueeze(axis)
    return x


def _split(node: Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = node.get("axis", 0)
    parts = _ints(node, "split", sizes)
    if parts is None:
        each = math.ceil(x.shape[axis] / node.get("num_outputs", len(node.outputs)))
        return torch.split(x, each, axis)
    return torch.split(x, parts, axis)


def _slice(
    node: Node,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first, last = _ints(node, "starts", starts) or [], _ints(node, "ends", ends) or []
    chosen = _ints(node, "axes", axes) or list(range(len(first)))
    by = _ints(node, "", steps) or [1] * len(first)
    for start, end, axis, step in zip(first, last, chosen, by, strict=True):
        places = range(x.shape[axis])[slice(start, _end(end, step), step)]
        if step == 1:
            x = x.narrow(axis, places.start if len(places) else 0, len(places))
        else:
            x = x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))
    return x


def _end(end: int, step: int) -> int | None:
    # Going down to and including the first element is written as a hugely negative end.
    return None if step < 0 and end < -(2**31) + 2 else end


def _gather(node: Node, x: Tensor, places: Tensor) -> Tensor:
    axis = node.get("axis", 0) % x.dim()
    wrapped = torch.where(places < 0, places + x.shape[axis], places).long()
    picked = x.index_select(axis, wrapped.reshape(-1))
    return picked.reshape((*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]))


def _gather_elements(node: Node, x: Tensor, places: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    return torch.gather(x, axis, torch.where(places < 0, places + x.shape[axis], places).long())


def _gather_nd(node: Node, x: Tensor, places: Tensor) -> Tensor:
    shared = node.get("batch_dims", 0)
    depth = places.shape[-1]
    lead, inner = places.shape[:shared], places.shape[shared:-1]
    flat_x = x.reshape(math.prod(lead), *x.shape[shared:])
    flat = places.reshape(math.prod(lead), -1, depth)
    rows = torch.arange(len(flat_x), device=x.device).reshape(-1, 1).expand(flat.shape[:2])
    picked = flat_x[(rows, *flat.unbind(-1))]
    return picked.reshape((*lead, *inner, *x.shape[shared + depth :]))


def _scatter_elements(node: Node, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    axis = node.get("axis", 0)
    wrapped = torch.where(places < 0, places + x.shape[axis], places).long()
    reduce = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    if node.get("reduction", "none") == "none":
        return x.scatter(axis, wrapped, updates)
    return x.scatter_reduce(axis, wrapped, updates, reduce[node.get("reduction")])


def _scatter_nd(node: Node, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    add = node.get("reduction", "none") == "add"
    return x.index_put(tuple(places.unbind(-1)), updates, accumulate=add)


def _expand(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))


def _pad(
    node: Node,
    x: Tensor,
    pads: Tensor | None = None,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    amounts = _ints(node, "pads", pads) or []
    chosen = [a % x.dim() for a in _ints(node, "", axes) or range(len(amounts) // 2)]
    before, after = [0] * x.dim(), [0] * x.dim()
    for place, axis in enumerate(chosen):
        before[axis], after[axis] = amounts[place], amounts[place + len(chosen)]
    mode = node.get("mode", "constant")
    if mode == "constant":
        fill = node.get("value", 0.0) if value is None else value.item()
        return F.pad(x, torch_pads(before, after), value=fill)
    for axis in chosen:  # torch pads only the last axes so; a look-up pads any
        places = _beyond(mode, x.shape[axis], before[axis], after[axis])
        x = x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))
    return x


def _beyond(mode: str, size: int, before: int, after: int) -> list[int]:
    wanted = range(-before, size + after)
    if mode == "edge":
        return [min(max(i, 0), size - 1) for i in wanted]
    if mode == "wrap":
        return [i % size for i in wanted]
    period = max(2 * (size - 1), 1)  # reflect
    return [min(i % period, period - i % period) if size > 1 else 0 for i in wanted]


def _shape(node: Node, x: Tensor) -> Tensor:
    return torch.tensor(x.shape, device=x.device)[node.get("start", 0) : node.get("end")]


def _constant_of_shape(node: Node, shape: Tensor) -> Tensor:
    value = node.get("value")
    fill = torch.zeros(1) if value is None else value
    return (
        fill.to(shape.device).reshape(1).expand(math.prod(shape.tolist())).reshape(shape.tolist())
    )


def _range(node: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    n = max(math.ceil((limit.item() - start.item()) / delta.item()), 0)
    return start + torch.arange(n, dtype=start.dtype, device=start.device) * delta


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    B, C, H, W = x.shape
    b = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    blocks = x.reshape(B, b, b, C // b**2, H, W).permute(0, 3, 4, 1, 5, 2)  # (B, C/bb, H, b, W, b)
    return blocks.reshape(B, C // b**2, H * b, W * b)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    B, C, H, W = x.shape
    b = node.get("blocksize")
    blocks = x.reshape(B, C, H // b, b, W // b, b).permute(0, 3, 5, 1, 2, 4)  # (B, b, b, C, H, W)
    return blocks.reshape(B, C * b * b, H // b, W // b)


def _one_hot(node: Node, places: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    n = int(depth)
    index = torch.where(places < 0, places + n, places).long()
    axis = node.get("axis", -1)
    hot = (index.unsqueeze(-1) == torch.arange(n, device=index.device)).movedim(-1, axis)
    return torch.where(hot, values[1], values[0])


def _trilu(node: Node, x: Tensor, k: Tensor | None = None) -> Tensor:
    diagonal = 0 if k is None else int(k)
    return x.triu(diagonal) if node.get("upper", 1) else x.tril(diagonal)


def _non_zero(node: Node, x: Tensor) -> Tensor:
    return x.nonzero().transpose(0, 1)


def _join(node: Node, *xs: Tensor) -> Tensor:
    return torch.cat(xs, node.get("axis", 1))


def _tile(node: Node, x: Tensor, repeats: Tensor) -> Tensor:
    return x.repeat(repeats.tolist())


def _size(node: Node, x: Tensor) -> Tensor:
    return torch.tensor(x.numel(), device=x.device)


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Concat": _join,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "NonZero": _non_zero,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
