"""How channels pass each operator; an operator without a rule is not followed.

A rule gets the operator's arguments and result, and returns whether it could follow them. Then the
result has its labels, and what goes together is tied; if not, everything that came in has to stay.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from netwright.compress._channel_nodes import Nodes, along, spread, varying

__all__ = ["follow"]

_aten = torch.ops.aten
_READS_INPUT = "they read the network's input"


def follow(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
    """Follow channels through one call of an operator.

    Args:
        nodes: what is known; the result's labels are added to it.
        func: the operator, as torch dispatches it.
        args: its arguments.
        kwargs: its arguments by name.
        result: what it returned.

    Returns:
        False if they cannot be followed.
    """
    rule = _RULES.get(func.overloadpacket)
    if rule is None and torch.Tag.pointwise in func.tags:
        rule = _pointwise
    return rule is not None and rule(nodes, func, args, kwargs, result)


def _convolution(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Tensor) -> bool:
    x, weight, bias, *_, transposed, _padding, groups = args
    found = nodes.weight(weight)
    before = along(nodes.labels(x), 1)
    if found is None or (nodes.labels(x) is not None and before is None):
        return False
    out, into = (1, 0) if transposed else (0, 1)
    after = nodes.of(found[0], out)
    if groups == 1:
        nodes.tie(before, nodes.of(found[0], into), _READS_INPUT)
        nodes.made.add((found[0], out))
        nodes.used.add((found[0], into))
    elif groups == x.shape[1] and not transposed:  # each channel by itself
        per = len(after) // groups
        nodes.tie(None if before is None else before.repeat_interleave(per), after, _READS_INPUT)
    else:
        return False
    if bias is not None:
        _tie_vector(nodes, bias, after)
    return nodes.set(result, spread(after, 1, result.shape))


def _linear(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Tensor) -> bool:
    *bias, x, weight = args
    found, labels = nodes.weight(weight), nodes.labels(x)
    before = along(labels, 1)
    if found is None or nodes.weight(x) is not None or (labels is not None and before is None):
        return False
    name, turned = found
    out, into = (0, 1) if turned else (1, 0)
    after = nodes.of(name, out)
    nodes.tie(before, nodes.of(name, into), _READS_INPUT)
    nodes.made.add((name, out))
    nodes.used.add((name, into))
    for vector in bias:
        _tie_vector(nodes, vector, after)
    return nodes.set(result, spread(after, 1, result.shape))


def _tie_vector(nodes: Nodes, vector: Tensor, channels: Tensor) -> None:
    labels, found = nodes.labels(vector), nodes.weight(vector)
    if found is not None and vector.shape == (1,):  # too short to have labels of its own
        labels = nodes.of(found[0], 0)
    nodes.tie(None if labels is None else labels.reshape(-1), channels)


def _batch_norm(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
    x, *vectors = args[:5]
    labels = nodes.labels(x)
    before = along(labels, 1)
    vectors = [vector for vector in vectors if vector is not None]
    if labels is None or before is None or any(nodes.weight(v) is None for v in vectors):
        return False
    for vector in vectors:
        _tie_vector(nodes, vector, before)
    return nodes.set(result[0], labels)


def _pool(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
    pooled = result if isinstance(result, Tensor) else result[0]
    before = along(nodes.labels(args[0]), 1)
    if before is None or len(before) != pooled.shape[1] or pooled.ndim != args[0].ndim:
        return False
    return nodes.set(pooled, spread(before, 1, pooled.shape))


def _reduce(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
    labels = nodes.labels(args[0])
    reduced = result if isinstance(result, Tensor) else result[0]
    axes = args[1] if len(args) > 1 else None
    if labels is None or not isinstance(axes, int | list) or axes == []:
        return False
    low, high = labels.amin(axes), labels.amax(axes)
    return torch.equal(low, high) and nodes.set(reduced, high.reshape(reduced.shape))


def _reshape(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
    labels = nodes.labels(args[0])
    if labels is None:
        return False
    if func.overloadpacket in (_aten.view, _aten._unsafe_view):
        return nodes.set(result, labels.reshape(args[1]))
    return nodes.set(result, func(labels, *args[1:], **kwargs))


def _cut(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
    labels = nodes.labels(args[0])
    place = _CUTS[func.overloadpacket]
    axis = args[place] if len(args) > place else kwargs.get("dim", 0)
    if labels is None or axis % labels.ndim in varying(labels, labels.ndim):
        return False  # which channels the pieces hold would change
    pieces = func(labels, *args[1:], **kwargs)
    if isinstance(result, Tensor):
        return nodes.set(result, pieces)
    return all([nodes.set(r, p) for r, p in zip(result, pieces, strict=True)])


def _join(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Tensor) -> bool:
    tensors, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim", 0)
    axis = dim % result.ndim
    known = [nodes.labels(tensor) for tensor in tensors]
    if any(t.ndim != result.ndim for t in tensors):
        return False
    filled = []
    for tensor, labels in zip(tensors, known, strict=True):
        if labels is None and nodes.weight(tensor) is not None:
            return False
        filled.append(torch.full(tensor.shape, -1) if labels is None else labels)
    if any(varying(labels, result.ndim) - {axis} for labels in filled):
        # The channels lie across the seams: the same ones of every piece go together.
        ends = [labels.select(axis, 0) for labels in filled]
        for end in ends[1:]:
            nodes.tie(ends[0], end)
    return nodes.set(result, torch.cat(filled, dim))


def _pad(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Tensor) -> bool:
    labels, sides = nodes.labels(args[0]), args[1]
    if labels is None:
        return False
    for place in range(len(sides) // 2):
        axis = labels.ndim - 1 - place
        length = labels.shape[axis]
        wanted = torch.arange(-sides[2 * place], length + sides[2 * place + 1])
        if axis in varying(labels, labels.ndim) and len(wanted) != length:
            return False
        labels = labels.index_select(axis, wanted.clamp(0, length - 1))
    return nodes.set(result, labels)


def _pointwise(nodes: Nodes, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    if not isinstance(result, Tensor) or any(t.ndim > result.ndim for t in given):
        return False
    labelled = [(t, labels) for t in given if (labels := nodes.labels(t)) is not None]
    axes: set[int] = set()
    for _, labels in labelled:
        axes |= varying(labels, result.ndim)
    if len(axes) > 1:
        return False
    merged = None
    for tensor, labels in labelled:
        if any(_length(tensor, axis, result.ndim) == 1 < result.shape[axis] for axis in axes):
            nodes.fix(labels, "one of them meets many")
            continue
        labels = labels.expand(result.shape)
        if merged is None:
            merged = labels
            continue
        for axis in axes or {0}:  # along one axis is enough
            first, second = along(merged, axis), along(labels, axis)
            assert second is not None
            nodes.tie(first, second)
        merged = torch.where(merged >= 0, merged, labels)
    if merged is None:
        return False
    for tensor in given:
        if nodes.labels(tensor) is None and not _meets(nodes, tensor, merged, axes):
            return False
    return nodes.set(result, merged)


def _meets(nodes: Nodes, tensor: Tensor, merged: Tensor, axes: set[int]) -> bool:
    # Whether a tensor without labels can stand beside channels: it is the same for all of them, or
    # a parameter with numbers for each.
    found = nodes.weight(tensor)
    for axis in axes:
        if _length(tensor, axis, merged.ndim) == 1:
            continue
        before = along(merged, axis)
        if found is None or found[1] or before is None:
            return False
        nodes.tie(before, nodes.of(found[0], axis - merged.ndim + tensor.ndim))
    return bool(axes) or found is None or tensor.numel() == 1


def _length(tensor: Tensor, axis: int, n_axes: int) -> int:
    place = axis - n_axes + tensor.ndim
    return tensor.shape[place] if place >= 0 else 1


# Where a cut has its axis among the arguments.
_CUTS = {
    _aten.chunk: 2,
    _aten.index_select: 1,
    _aten.select: 1,
    _aten.slice: 1,
    _aten.split: 2,
    _aten.split_with_sizes: 2,
    _aten.unbind: 1,
}
_NORMS = (_aten.native_batch_norm, _aten._native_batch_norm_legit_no_training)
_POOLS = (
    _aten.avg_pool1d,
    _aten.avg_pool2d,
    _aten.max_pool2d_with_indices,
    _aten._adaptive_avg_pool2d,
    _aten.adaptive_max_pool2d,
    _aten.upsample_nearest2d,
    _aten.upsample_bilinear2d,
)
_SHAPES = (
    _aten.alias,
    _aten.detach,
    _aten.expand,
    _aten.permute,
    _aten.squeeze,
    _aten.t,
    _aten.transpose,
    _aten.unsqueeze,
    _aten.view,
    _aten._unsafe_view,
)
_RULES: dict[Any, Callable[..., bool]] = {
    _aten.convolution: _convolution,
    _aten.addmm: _linear,
    _aten.mm: _linear,
    _aten.cat: _join,
    _aten.constant_pad_nd: _pad,
    **dict.fromkeys(_NORMS, _batch_norm),
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys((_aten.mean, _aten.sum, _aten.amax, _aten.amin, _aten.max, _aten.min), _reduce),
    **dict.fromkeys(
        (_aten._to_copy, _aten._prelu_kernel, _aten.hardswish, _aten.hardswish_), _pointwise
    ),
    **dict.fromkeys(_CUTS, _cut),
    **dict.fromkeys(_SHAPES, _reshape),
}
