"""Activations, and what passes its input through."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.artefact._graph import Node

__all__ = ["OPERATORS"]


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, slope * x, x)


def _elu(node: Node, x: Tensor) -> Tensor:
    return F.elu(x, node.get("alpha", 1.0))


def _selu(node: Node, x: Tensor) -> Tensor:
    alpha, gamma = node.get("alpha", 1.6732631921768188), node.get("gamma", 1.0507010221481323)
    return gamma * F.elu(x, alpha)


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    return (node.get("alpha", 0.2) * x + node.get("beta", 0.5)).clamp(0, 1)


def _thresholded(node: Node, x: Tensor) -> Tensor:
    return torch.where(x > node.get("alpha", 1.0), x, torch.zeros_like(x))


def _shrink(node: Node, x: Tensor) -> Tensor:
    bias, limit = node.get("bias", 0.0), node.get("lambd", 0.5)
    zero = torch.zeros_like(x)
    return torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, zero))


def _normalised(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(node: Node, x: Tensor) -> Tensor:
        if node.opset >= 13:
            return function(x, dim=node.get("axis", -1))
        axis = node.get("axis", 1) % max(x.dim(), 1)  # older sets flatten what follows the axis
        return function(x.flatten(axis), dim=-1).reshape(x.shape)

    return run


def _hardmax(x: Tensor, dim: int) -> Tensor:
    first = x.argmax(dim=dim, keepdim=True)
    return torch.zeros_like(x).scatter(dim, first, 1.0)


def _dropout(node: Node, x: Tensor, *unused: Tensor | None) -> tuple[Tensor, ...]:
    return x, torch.ones_like(x, dtype=torch.bool)


OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Celu": lambda node, x: F.celu(x, node.get("alpha", 1.0)),
    "Dropout": _dropout,
    "Elu": _elu,
    "Gelu": lambda node, x: F.gelu(x, approximate=node.get("approximate", "none")),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda node, x: x * (x / 6 + 0.5).clamp(0, 1),
    "Hardmax": _normalised(_hardmax),
    "Identity": lambda node, x: x,
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01)),
    "LogSoftmax": _normalised(torch.log_softmax),
    "Mish": lambda node, x: F.mish(x),
    "PRelu": _prelu,
    "Relu": lambda node, x: torch.relu(x),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": lambda node, x: torch.sigmoid(x),
    "Softmax": _normalised(torch.softmax),
    "Softplus": lambda node, x: F.softplus(x),
    "Softsign": lambda node, x: F.softsign(x),
    "Tanh": lambda node, x: torch.tanh(x),
    "ThresholdedRelu": _thresholded,
}
