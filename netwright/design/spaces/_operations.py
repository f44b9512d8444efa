"""The table of operations that designs are made of, and what each is proved to do.

Paper:    Zoph, Vasudevan, Shlens, Le. Learning Transferable Architectures for Scalable Image
          Recognition. CVPR 2018, arXiv:1707.07012, section 3.1 (the candidate operations).
Departs:  the normalisation stands behind each convolution and before its ReLU; a separable
          convolution is applied once, not twice. Spaces use only operations that can be trained,
          exported, verified and compressed, so they average where NASNet takes maxima.
Notation: `stride` = 2 in a reduction cell, else 1.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn import ConvNorm, Separable

__all__ = ["IMAGE_OPERATIONS", "NONE", "ROW_OPERATIONS", "Operation", "operation", "usable"]

NONE = "none"  # the option of having no operation between two nodes


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the table.

    Attributes:
        name: as designs write it.
        summary: what it does, for people.
        build: makes the module from channels (or features) in, out, and the stride; rows have no
            stride.
        layers: the kinds of layers without children that it consists of.
        is_trained: whether gradients pass and a network with it learns.
        is_exported: whether ONNX Runtime computes the same.
        is_verified: whether linear bounds pass it: affine, a ReLU, a sum or a concatenation.
        is_compressed: whether its weights, if any, are those of linear layers and convolutions,
            which can be pruned, factorised and quantised.
    """

    name: str
    summary: str
    build: Callable[[int, int, int], nn.Module]
    layers: tuple[type[nn.Module], ...]
    is_trained: bool = True
    is_exported: bool = True
    is_verified: bool = True
    is_compressed: bool = True


class ResidualRow(nn.Module):
    """Two linear layers around which the row is carried: `x + second(relu(first(x)))`."""

    def __init__(self, in_features: int, out_features: int) -> None:
        """Build the layers.

        Args:
            in_features: length of the rows that come in.
            out_features: length of the rows that go out; if it differs, they are mapped first.
        """
        super().__init__()
        self.resize = nn.Identity()
        if in_features != out_features:
            self.resize = nn.Linear(in_features, out_features)
        self.first = nn.Linear(out_features, out_features)
        self.activation = nn.ReLU()
        self.second = nn.Linear(out_features, out_features)

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch out_features"]:
        """Return the sum of the rows and what two layers make of them."""
        x = self.resize(x)
        return x + self.second(self.activation(self.first(x)))


def _identity(n_in: int, n_out: int, stride: int) -> nn.Module:
    if n_in == n_out and stride == 1:
        return nn.Identity()
    resize = ConvNorm(n_in, n_out, kernel=1, activation=False)
    if stride == 1:
        return resize
    return nn.Sequential(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False), resize)


def _convolution(kernel: int) -> Callable[[int, int, int], nn.Module]:
    def build(n_in: int, n_out: int, stride: int) -> nn.Module:
        return ConvNorm(n_in, n_out, kernel=kernel, stride=stride)

    return build


def _separable(n_in: int, n_out: int, stride: int) -> nn.Module:
    return Separable(n_in, n_out, stride=stride)


def _separable_wide(n_in: int, n_out: int, stride: int) -> nn.Module:
    each = ConvNorm(n_in, n_in, kernel=5, stride=stride, groups=n_in)
    return nn.Sequential(each, ConvNorm(n_in, n_out, kernel=1))


def _pool(pool: Callable[[int], nn.Module]) -> Callable[[int, int, int], nn.Module]:
    def build(n_in: int, n_out: int, stride: int) -> nn.Module:
        if n_in == n_out:
            return pool(stride)
        return nn.Sequential(pool(stride), ConvNorm(n_in, n_out, kernel=1, activation=False))

    return build


def _average(stride: int) -> nn.Module:
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def _maximum(stride: int) -> nn.Module:
    return nn.MaxPool2d(3, stride, padding=1)


def _identity_row(n_in: int, n_out: int, stride: int) -> nn.Module:
    return nn.Identity() if n_in == n_out else nn.Linear(n_in, n_out)


def _linear_row(n_in: int, n_out: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.ReLU())


def _normal_row(n_in: int, n_out: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU())


def _narrow_row(n_in: int, n_out: int, stride: int) -> nn.Module:
    narrow = max(4, n_out // 4)
    return nn.Sequential(nn.Linear(n_in, narrow), nn.Linear(narrow, n_out), nn.ReLU())


def _residual_row(n_in: int, n_out: int, stride: int) -> nn.Module:
    return ResidualRow(n_in, n_out)


_CONV = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)
_RESIZED = (nn.Identity, nn.AvgPool2d, nn.Conv2d, nn.BatchNorm2d)


def _table(*operations: Operation) -> dict[str, Operation]:
    assert len({each.name for each in operations}) == len(operations)
    return {each.name: each for each in operations}


IMAGE_OPERATIONS = _table(
    Operation("identity", "passes the image on", _identity, _RESIZED),
    Operation("conv1x1", "1×1 convolution", _convolution(1), _CONV),
    Operation("conv3x3", "3×3 convolution", _convolution(3), _CONV),
    Operation("conv5x5", "5×5 convolution", _convolution(5), _CONV),
    Operation("sep3x3", "separable 3×3 convolution", _separable, _CONV),
    Operation("sep5x5", "separable 5×5 convolution", _separable_wide, _CONV),
    Operation("avgpool3x3", "mean over 3×3 pixels", _pool(_average), _RESIZED[1:]),
    # No linear bounds for maxima yet, so no space proposes it.
    Operation(
        "maxpool3x3",
        "maximum over 3×3 pixels",
        _pool(_maximum),
        (nn.MaxPool2d, nn.Conv2d, nn.BatchNorm2d),
        is_verified=False,
    ),
)
ROW_OPERATIONS = _table(
    Operation("identity", "passes the row on", _identity_row, (nn.Identity, nn.Linear)),
    Operation("linear", "linear layer, ReLU", _linear_row, (nn.Linear, nn.ReLU)),
    Operation(
        "normal",
        "linear layer, batch normalisation, ReLU",
        _normal_row,
        (nn.Linear, nn.BatchNorm1d, nn.ReLU),
    ),
    Operation("narrow", "linear layer of low rank, ReLU", _narrow_row, (nn.Linear, nn.ReLU)),
    Operation(
        "residual",
        "two linear layers, added to the row",
        _residual_row,
        (nn.Linear, nn.ReLU, nn.Identity),
    ),
)


def operation(name: str, kind: Literal["image", "row"]) -> Operation:
    """Look an operation up.

    Args:
        name: as designs write it.
        kind: of what it works on.

    Raises:
        ValueError: if the table has no such operation.
    """
    table = IMAGE_OPERATIONS if kind == "image" else ROW_OPERATIONS
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(
            f"No operation on {kind}s is called `{name}`.{hint} Known: {', '.join(table)}."
        )
    return table[name]


def usable(kind: Literal["image", "row"]) -> tuple[str, ...]:
    """Name the operations that can be trained, exported, verified and compressed.

    Args:
        kind: of what they work on.
    """
    table = IMAGE_OPERATIONS if kind == "image" else ROW_OPERATIONS
    return tuple(
        each.name
        for each in table.values()
        if each.is_trained and each.is_exported and each.is_verified and each.is_compressed
    )
