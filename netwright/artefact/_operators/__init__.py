"""ONNX operators as functions of tensors: `OPERATORS[op](node, *inputs)`.

Omitted inputs are None; a function returns one tensor, or a tuple of the node's outputs. Every one
is differentiable where the operator is. A new operator is one entry in the file of its kind.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from netwright.artefact._operators import (
    _activations,
    _arithmetic,
    _layers,
    _pooling,
    _quantize,
    _recurrent,
    _reduce,
    _resize,
    _shape,
)
from netwright.artefact._operators._limits import limitation

__all__ = ["OPERATORS", "limitation"]

OPERATORS: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        **_activations.OPERATORS,
        **_arithmetic.OPERATORS,
        **_layers.OPERATORS,
        **_pooling.OPERATORS,
        **_quantize.OPERATORS,
        **_recurrent.OPERATORS,
        **_reduce.OPERATORS,
        **_resize.OPERATORS,
        **_shape.OPERATORS,
    }
)
