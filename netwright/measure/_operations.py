"""The operations that an image network runs, one after the other, by kind and shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Operation", "operations"]

Shape = tuple[int, ...]
# Kinds of what has one input, and of what has two of one shape, by torch's name.
_UNARY = {
    "relu": "Relu",
    "relu_": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "hardswish": "HardSwish",
    "hardswish_": "HardSwish",
    "hardsigmoid": "HardSigmoid",
    "silu": "Silu",
    "silu_": "Silu",
    "gelu": "Gelu",
    "elu": "Elu",
    "leaky_relu": "LeakyRelu",
    "native_batch_norm": "BatchNormalization",
    "_native_batch_norm_legit_no_training": "BatchNormalization",
}
_BINARY = {"add": "Add", "add_": "Add", "mul": "Mul", "mul_": "Mul", "sub": "Sub", "div": "Div"}
# What ONNX Runtime folds away, or what moves no number.
_FREE = frozenset(
    "alias clone constant_pad_nd contiguous detach empty expand flatten lift_fresh reshape select "
    "slice squeeze t unsqueeze view _to_copy _unsafe_view dropout".split()
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a network.

    Attributes:
        kind: its ONNX operator, "Gemm" for linear layers; "other" for what is not known.
        inputs: shapes of its inputs, weights left out.
        output: shape of its output.
        settings: what else decides its cost: sorted names and numbers, as kernel and stride.
    """

    kind: str
    inputs: tuple[Shape, ...]
    output: Shape
    settings: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def key(self) -> str:
        """Its name in a table: equal operations on equal shapes have equal keys."""
        parts = [self.kind, *("x".join(map(str, shape)) for shape in self.inputs)]
        parts += [f"{name}={','.join(map(str, values))}" for name, values in self.settings]
        return " ".join([*parts, "->", "x".join(map(str, self.output))])


@torch.no_grad()
def operations(network: nn.Module, x: Float[Tensor, "batch *input"]) -> tuple[Operation, ...]:
    """List what a network runs on one batch, in eval mode, in order.

    Args:
        network: takes one tensor.
        x: values matter only where they steer the computation.
    """
    was_training = network.training
    recorder = _Recorder()
    try:
        with recorder:
            network.eval()(x)
    finally:
        network.train(was_training)
    return tuple(recorder.found)


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        made = result[0] if isinstance(result, tuple | list) else result
        if name not in _FREE and isinstance(made, Tensor):
            operation = _operation(name, args, tuple(made.shape))
            if operation is not None:
                self.found.append(operation)
        return result


def _operation(name: str, args: tuple, output: Shape) -> Operation | None:
    tensors = [tuple(a.shape) for a in args if isinstance(a, Tensor)]
    first = tensors[:1]
    if name == "convolution" and not args[6]:
        weight = tuple(args[1].shape)
        settings = _settings(
            kernel=weight[2:], stride=args[3], pad=args[4], dilation=args[5], groups=[args[8]]
        )
        return Operation("Conv", tuple(first), output, settings)
    if name in ("addmm", "mm", "linear"):
        left = tensors[1] if name == "addmm" else tensors[0]
        return Operation("Gemm", (left,), output)
    if name in _UNARY:
        return Operation(_UNARY[name], tuple(first), output)
    if name in _BINARY:
        return Operation(
            _BINARY[name], tuple(tensors[:2]) if len(tensors) > 1 else tuple(first), output
        )
    if name in ("max_pool2d_with_indices", "max_pool2d", "avg_pool2d"):
        given = [list(a) if isinstance(a, list | tuple) else [a, a] for a in args[1:4]]
        kernel = given[0]
        stride = given[1] if len(given) > 1 and given[1] else kernel
        pad = given[2] if len(given) > 2 else [0, 0]
        kind = "AveragePool" if name == "avg_pool2d" else "MaxPool"
        settings = _settings(kernel=kernel, stride=stride, pad=pad)
        return Operation(kind, tuple(first), output, settings)
    if name in ("mean", "amax", "_adaptive_avg_pool2d") and len(tensors[0]) == 4:
        return Operation("ReduceMax" if name == "amax" else "ReduceMean", tuple(first), output)
    if name == "cat":
        return Operation("Concat", tuple(tuple(t.shape) for t in args[0]), output)
    return Operation("other", tuple(tensors[:2]), output)


def _settings(**given: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(int(v) for v in values)) for name, values in sorted(given.items()))
