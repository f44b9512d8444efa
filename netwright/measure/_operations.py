"""The operations that a network of images or sequences runs in ONNX Runtime, by kind and shape.

What is computed twice is listed once, as the exporter shares equal nodes. A convolution includes
what the runtime does with it in one: the normalisation, sum and ReLU behind it, even where another
operation reads the convolution too. Not listed are the changes of layout that the runtime puts
between operations on images of few channels. Both make a sum of entries too low, if anything.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
_POOLS = ("max_pool2d_with_indices", "max_pool2d", "avg_pool2d")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a network.

    Attributes:
        kind: its ONNX operator, "Gemm" for linear layers; "other" and torch's name for what is not
            known.
        inputs: shapes of its inputs, weights left out.
        output: shape of its output.
        settings: what else decides its cost: sorted names and numbers, as kernel and stride; "add"
            and "relu" where a convolution includes them.
    """

    kind: str
    inputs: tuple[Shape, ...]
    output: Shape
    settings: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def known(self) -> bool:
        """Whether a table can hold it."""
        return not self.kind.startswith("other")

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
    """Names each tensor by how it was made: what has the same name need not be made twice."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Operation] = []
        self._names: dict[int, object] = {}  # by identity
        self._kept: list[Tensor] = []  # so that identities are not used again
        self._numbers: dict[object, int] = {}
        self._makers: dict[object, int] = {}  # places in `found`, by name

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        made_of = (str(func), self._name(args), self._name(tuple(sorted(kwargs.items()))))
        makers = [self._makers.get(self._name(a)) for a in args if isinstance(a, Tensor)]
        result = func(*args, **kwargs)
        is_new = made_of not in self._numbers
        number = self._numbers.setdefault(made_of, len(self._numbers))
        made = list(result) if isinstance(result, tuple | list) else [result]
        for place, tensor in enumerate(made):
            if isinstance(tensor, Tensor):
                self._names[id(tensor)] = (number, place)
                self._kept.append(tensor)
        if is_new and isinstance(made[0], Tensor):
            name = func.overloadpacket.__name__
            maker = self._list(name, args, tuple(made[0].shape), makers)
            if maker is not None:
                self._makers[(number, 0)] = maker
        return result

    def _name(self, value: Any) -> object:
        if isinstance(value, Tensor):
            return self._names.get(id(value), id(value))
        if isinstance(value, tuple | list):
            return tuple(self._name(each) for each in value)
        return repr(value)

    def _list(self, name: str, args: tuple, output: Shape, makers: list[int | None]) -> int | None:
        """List a call, or join it to the one before; returns the place of what made its output."""
        if name in _FREE and not _skips(name, args):
            return makers[0] if makers else None
        operation = _operation(name, args, output)
        for maker in (m for m in makers if m is not None):
            joined = _joined(self.found[maker], operation)
            if joined is not None:
                self.found[maker] = joined
                return maker
        self.found.append(operation)
        return len(self.found) - 1


def _joined(convolution: Operation, operation: Operation) -> Operation | None:
    """Let a convolution do what follows it; None where the runtime does not."""
    done = {name for name, _ in convolution.settings} & {"add", "relu"}
    if convolution.kind != "Conv" or "relu" in done:
        return None
    if operation.kind == "BatchNormalization":  # the exporter folds it into the weights
        return None if "add" in done else convolution
    is_image = len(operation.output) == 4  # only in their layout is a sum joined
    is_sum = operation.kind == "Add" and operation.inputs == (operation.output,) * 2
    if is_sum and is_image and "add" not in done:
        return _with(convolution, "add")
    return _with(convolution, "relu") if operation.kind == "Relu" else None


def _with(convolution: Operation, name: str) -> Operation:
    settings = (*convolution.settings, (name, (1,)))
    return replace(convolution, settings=tuple(sorted(settings)))


def _skips(name: str, args: tuple) -> bool:
    """Whether steps are left out, as where a mask is halved."""
    return name == "slice" and args[0].ndim == 3 and len(args) > 4 and args[4] > 1


def _operation(name: str, args: tuple, output: Shape) -> Operation:
    tensors = [tuple(a.shape) for a in args if isinstance(a, Tensor)]
    first = tuple(tensors[:1])
    if name == "convolution" and not args[6]:
        weight = tuple(args[1].shape)
        settings = _settings(
            kernel=weight[2:], stride=args[3], pad=args[4], dilation=args[5], groups=[args[8]]
        )
        return Operation("Conv", first, output, settings)
    if name in ("addmm", "mm", "linear"):
        left = tensors[1] if name == "addmm" else tensors[0]
        return Operation("Gemm", (left,), output)
    if name in _UNARY:
        return Operation(_UNARY[name], first, output)
    if name in _BINARY:
        wider_first = sorted(tensors[:2], key=math.prod, reverse=True)  # a gate stands second
        return Operation(_BINARY[name], tuple(wider_first), output)
    if name in _POOLS:
        return _pool(name, args, tensors[0], output)
    if name in ("mean", "amax", "_adaptive_avg_pool2d") and len(tensors[0]) == 4:
        return Operation("ReduceMax" if name == "amax" else "ReduceMean", first, output)
    if name == "sum" and len(tensors[0]) == 3 and len(output) == 2 and args[1] in ([-1], [2]):
        return Operation("ReduceSum", first, output)
    if name == "slice":
        return Operation("Slice", first, output, _settings(step=[args[4]]))
    if name == "cat":
        return Operation("Concat", tuple(tuple(t.shape) for t in args[0]), output)
    return Operation(f"other {name}", tuple(tensors[:2]), output)


def _pool(name: str, args: tuple, shape: Shape, output: Shape) -> Operation:
    given = [list(a) if isinstance(a, list | tuple) else [a, a] for a in args[1:4]]
    kernel = given[0]
    stride = given[1] if len(given) > 1 and given[1] else kernel
    pad = given[2] if len(given) > 2 else [0, 0]
    if shape[2] == kernel[0] == 1:  # torch pools steps as images of height 1
        shape, output = (*shape[:2], shape[3]), (*output[:2], output[3])
        kernel, stride, pad = kernel[1:], stride[1:], pad[1:]
    kind = "AveragePool" if name == "avg_pool2d" else "MaxPool"
    return Operation(kind, (shape,), output, _settings(kernel=kernel, stride=stride, pad=pad))


def _settings(**given: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(int(v) for v in values)) for name, values in sorted(given.items()))
