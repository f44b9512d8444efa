"""The table of operations that designs are made of, and what each is proved to do.

Paper:    Zoph, Vasudevan, Shlens, Le. Learning Transferable Architectures for Scalable Image
          Recognition. CVPR 2018, arXiv:1707.07012, section 3.1 (the candidate operations).
Departs:  the normalisation stands behind each convolution and before its ReLU; a separable
          convolution is applied once, not twice. The same operations on steps, in one dimension,
          see farther; those on rows have no size to halve. Spaces use only operations that can be
          trained, exported, verified and compressed: there is no recurrence, which has no bounds.
Notation: `stride` = 2 in a reduction cell, else 1; `dil3by4` sees 3 steps, each 4 from the next.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn import ConvNorm, ConvNorm1d, Separable

__all__ = [
    "IMAGE_OPERATIONS",
    "NONE",
    "ROW_OPERATIONS",
    "SEQUENCE_OPERATIONS",
    "Kind",
    "Operation",
    "halving",
    "operation",
    "resize",
    "usable",
]

NONE = "none"  # the option of having no operation between two nodes
Kind = Literal["image", "row", "sequence"]  # texts are sequences once they are embedded
Build = Callable[[int, int, int], nn.Module]


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
        is_verified: whether bounds pass it, of the shipped file and while training.
        is_compressed: whether its weights, if any, are those of linear layers and convolutions,
            which can be pruned, factorised and quantised.
    """

    name: str
    summary: str
    build: Build
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


def _identity(norm: Callable[..., nn.Module], halve: Callable[[], nn.Module]) -> Build:
    def build(n_in: int, n_out: int, stride: int) -> nn.Module:
        if n_in == n_out and stride == 1:
            return nn.Identity()
        resize = norm(n_in, n_out, kernel=1, activation=False)
        return resize if stride == 1 else nn.Sequential(halve(), resize)

    return build


def _convolution(norm: Callable[..., nn.Module], kernel: int, **more: int) -> Build:
    def build(n_in: int, n_out: int, stride: int) -> nn.Module:
        return norm(n_in, n_out, kernel=kernel, stride=stride, **more)

    return build


def _separable(n_in: int, n_out: int, stride: int) -> nn.Module:
    return Separable(n_in, n_out, stride=stride)


def _separable_wide(norm: Callable[..., nn.Module], kernel: int) -> Build:
    def build(n_in: int, n_out: int, stride: int) -> nn.Module:
        each = norm(n_in, n_in, kernel=kernel, stride=stride, groups=n_in)
        return nn.Sequential(each, norm(n_in, n_out, kernel=1))

    return build


def _pool(norm: Callable[..., nn.Module], pool: Callable[[int], nn.Module]) -> Build:
    def build(n_in: int, n_out: int, stride: int) -> nn.Module:
        if n_in == n_out:
            return pool(stride)
        return nn.Sequential(pool(stride), norm(n_in, n_out, kernel=1, activation=False))

    return build


def _average(stride: int) -> nn.Module:
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def _maximum(stride: int) -> nn.Module:
    return nn.MaxPool2d(3, stride, padding=1)


# Beyond both ends of a sequence, as behind the last step of a shorter one, everything is 0. (A pad
# before the maximum would say so too, but ONNX Runtime 1.31 takes its zeros for minus infinity.)
def _average_steps(stride: int) -> nn.Module:
    return nn.AvgPool1d(3, stride, padding=1)


def _maximum_steps(stride: int) -> nn.Module:
    return nn.Sequential(nn.MaxPool1d(3, stride, padding=1), nn.ReLU())


def _halve_image() -> nn.Module:
    return nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)


def _halve_steps() -> nn.Module:
    return nn.AvgPool1d(3, 2, padding=1)  # each around every second step


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
_RESIZED = (nn.Conv2d, nn.BatchNorm2d)
_STEPS = (nn.Conv1d, nn.BatchNorm1d, nn.ReLU)
_RESIZED_STEPS = (nn.Conv1d, nn.BatchNorm1d)


def _table(*operations: Operation) -> dict[str, Operation]:
    assert len({each.name for each in operations}) == len(operations)
    return {each.name: each for each in operations}


IMAGE_OPERATIONS = _table(
    Operation(
        "identity",
        "passes the image on",
        _identity(ConvNorm, _halve_image),
        (nn.Identity, nn.AvgPool2d, *_RESIZED),
    ),
    Operation("conv1x1", "1×1 convolution", _convolution(ConvNorm, 1), _CONV),
    Operation("conv3x3", "3×3 convolution", _convolution(ConvNorm, 3), _CONV),
    Operation("conv5x5", "5×5 convolution", _convolution(ConvNorm, 5), _CONV),
    Operation("sep3x3", "separable 3×3 convolution", _separable, _CONV),
    Operation("sep5x5", "separable 5×5 convolution", _separable_wide(ConvNorm, 5), _CONV),
    Operation(
        "avgpool3x3",
        "mean over 3×3 pixels",
        _pool(ConvNorm, _average),
        (nn.AvgPool2d, *_RESIZED),
    ),
    Operation(
        "maxpool3x3",
        "maximum over 3×3 pixels",
        _pool(ConvNorm, _maximum),
        (nn.MaxPool2d, *_RESIZED),
    ),
)
SEQUENCE_OPERATIONS = _table(
    Operation(
        "identity",
        "passes the steps on",
        _identity(ConvNorm1d, _halve_steps),
        (nn.Identity, nn.AvgPool1d, *_RESIZED_STEPS),
    ),
    Operation("conv1", "convolution over 1 step", _convolution(ConvNorm1d, 1), _STEPS),
    Operation("conv3", "convolution over 3 steps", _convolution(ConvNorm1d, 3), _STEPS),
    Operation("conv5", "convolution over 5 steps", _convolution(ConvNorm1d, 5), _STEPS),
    Operation("conv9", "convolution over 9 steps", _convolution(ConvNorm1d, 9), _STEPS),
    Operation(
        "dil3by2",
        "convolution over 3 steps, 2 apart",
        _convolution(ConvNorm1d, 3, dilation=2),
        _STEPS,
    ),
    Operation(
        "dil3by4",
        "convolution over 3 steps, 4 apart",
        _convolution(ConvNorm1d, 3, dilation=4),
        _STEPS,
    ),
    Operation("sep5", "separable convolution, 5 steps", _separable_wide(ConvNorm1d, 5), _STEPS),
    Operation("sep9", "separable convolution, 9 steps", _separable_wide(ConvNorm1d, 9), _STEPS),
    Operation(
        "avgpool3",
        "mean over 3 steps",
        _pool(ConvNorm1d, _average_steps),
        (nn.AvgPool1d, *_RESIZED_STEPS),
    ),
    Operation(
        "maxpool3",
        "maximum over 3 steps, and of 0",
        _pool(ConvNorm1d, _maximum_steps),
        (nn.MaxPool1d, nn.ReLU, *_RESIZED_STEPS),
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


_TABLES: dict[Kind, dict[str, Operation]] = {
    "image": IMAGE_OPERATIONS,
    "row": ROW_OPERATIONS,
    "sequence": SEQUENCE_OPERATIONS,
}
_RESIZE: dict[Kind, str] = {"image": "conv1x1", "row": "normal", "sequence": "conv1"}


def operation(name: str, kind: Kind) -> Operation:
    """Look an operation up.

    Args:
        name: as designs write it.
        kind: of what it works on.

    Raises:
        ValueError: if the table has no such operation.
    """
    table = _TABLES[kind]
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(
            f"No operation on {kind}s is called `{name}`.{hint} Known: {', '.join(table)}."
        )
    return table[name]


def usable(kind: Kind) -> tuple[str, ...]:
    """Name the operations that can be trained, exported, verified and compressed.

    Args:
        kind: of what they work on.
    """
    return tuple(
        each.name
        for each in _TABLES[kind].values()
        if each.is_trained and each.is_exported and each.is_verified and each.is_compressed
    )


def resize(kind: Kind, n_in: int, n_out: int) -> nn.Module:
    """Make what changes the number of channels or features, and nothing else.

    Args:
        kind: of what it works on.
        n_in: channels or features that come in.
        n_out: channels or features that go out.
    """
    return operation(_RESIZE[kind], kind).build(n_in, n_out, 1)


def halving(kind: Kind) -> nn.Module:
    """Make the mean that halves an image or a sequence, rounding up.

    Args:
        kind: of what it works on.

    Raises:
        ValueError: for rows, which have no size.
    """
    if kind == "row":
        raise ValueError("`kind` must be of what has a size to halve; rows have none.")
    return _halve_image() if kind == "image" else _halve_steps()
