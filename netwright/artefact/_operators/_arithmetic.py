"""Element by element: arithmetic, comparison, logic, conversion of types."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from netwright.artefact._graph import Node, dtypes

__all__ = ["OPERATORS"]


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def run(node: Node, a: Tensor, b: Tensor) -> Tensor:
        return function(a, _aligned(node, a, b))

    return run


def _aligned(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Place the axes of `b` as operator sets before 7 did."""
    if node.opset >= 7 or not node.get("broadcast", 0) or "axis" not in node.attributes:
        return b
    return b.reshape(*b.shape, *[1] * (a.dim() - node.get("axis") % a.dim() - b.dim()))


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda node, x: function(x)


def _variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda node, *xs: functools.reduce(function, xs)


def _div(node: Node, a: Tensor, b: Tensor) -> Tensor:
    b = _aligned(node, a, b)
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    return torch.fmod(a, b) if node.get("fmod", 0) else torch.remainder(a, b)


def _pow(node: Node, base: Tensor, exponent: Tensor) -> Tensor:
    exponent = _aligned(node, base, exponent)
    return torch.pow(base, exponent).to(base.dtype)  # the type of the base, unlike torch


def _mean(node: Node, *xs: Tensor) -> Tensor:
    return functools.reduce(torch.add, xs) / len(xs)


def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if node.opset < 11:
        return x.clamp(
            node.get("min", -3.4028234663852886e38), node.get("max", 3.4028234663852886e38)
        )
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _cast(node: Node, x: Tensor) -> Tensor:
    return x.to(dtypes()[node.get("to")])


def _is_infinite(node: Node, x: Tensor) -> Tensor:
    up = torch.isposinf(x) if node.get("detect_positive", 1) else torch.zeros_like(x).bool()
    down = torch.isneginf(x) if node.get("detect_negative", 1) else torch.zeros_like(x).bool()
    return up | down


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Abs": _unary(torch.abs),
    "Acos": _unary(torch.acos),
    "Acosh": _unary(torch.acosh),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "Asin": _unary(torch.asin),
    "Asinh": _unary(torch.asinh),
    "Atan": _unary(torch.atan),
    "Atanh": _unary(torch.atanh),
    "Cast": _cast,
    "CastLike": lambda node, x, like: x.to(like.dtype),
    "Ceil": _unary(torch.ceil),
    "Clip": _clip,
    "Cos": _unary(torch.cos),
    "Cosh": _unary(torch.cosh),
    "Div": _div,
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "IsInf": _is_infinite,
    "IsNaN": _unary(torch.isnan),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Log": _unary(torch.log),
    "Max": _variadic(torch.maximum),
    "Mean": _mean,
    "Min": _variadic(torch.minimum),
    "Mod": _mod,
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "Pow": _pow,
    "Reciprocal": _unary(torch.reciprocal),
    "Round": _unary(torch.round),  # half to even, as ONNX
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Sinh": _unary(torch.sinh),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Sum": _variadic(torch.add),
    "Tan": _unary(torch.tan),
    "Where": lambda node, condition, a, b: torch.where(condition, a, b),
    "Xor": _binary(torch.logical_xor),
}
