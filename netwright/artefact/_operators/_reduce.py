"""Sums, extrema and norms along axes; ranking."""

from collections.abc import Callable

import torch
from torch import Tensor

from netwright.artefact._graph import Node

__all__ = ["OPERATORS"]


def _along(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Callable[..., Tensor]:
    def run(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = node.get("axes") if axes is None else tuple(axes.tolist())
        if not chosen:
            if node.get("noop_with_empty_axes", 0):
                return x
            chosen = tuple(range(x.dim()))
        return function(x, chosen, bool(node.get("keepdims", 1)))

    return run


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(node: Node, x: Tensor) -> Tensor:
        axis, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
        if not node.get("select_last_index", 0):
            return function(x, dim=axis, keepdim=keep)
        return x.shape[axis] - 1 - function(x.flip(axis), dim=axis, keepdim=keep)

    return run


def _top_k(node: Node, x: Tensor, k: Tensor | None = None) -> tuple[Tensor, ...]:
    n = node.get("k") if k is None else int(k)
    axis, largest = node.get("axis", -1), bool(node.get("largest", 1))
    # Stable, so that of equal values the earlier one wins, as in ONNX Runtime.
    values, places = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, n), places.narrow(axis, 0, n)


def _cumulative_sum(node: Node, x: Tensor, axis: Tensor) -> Tensor:
    dim = int(axis)
    x = x.flip(dim) if node.get("reverse", 0) else x
    total = x.cumsum(dim, dtype=x.dtype)
    total = total - x if node.get("exclusive", 0) else total
    return total.flip(dim) if node.get("reverse", 0) else total


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "ArgMax": _place(torch.argmax),
    "ArgMin": _place(torch.argmin),
    "CumSum": _cumulative_sum,
    "ReduceL1": _along(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "ReduceL2": _along(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "ReduceLogSum": _along(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "ReduceLogSumExp": _along(lambda x, axes, keep: torch.logsumexp(x, axes, keep)),
    "ReduceMax": _along(torch.amax),
    "ReduceMean": _along(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "ReduceMin": _along(torch.amin),
    "ReduceProd": _along(_product),
    "ReduceSum": _along(lambda x, axes, keep: x.sum(axes, keepdim=keep, dtype=x.dtype)),
    "ReduceSumSquare": _along(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    "TopK": _top_k,
}
