"""Layers in factors: what is common to all ways of factorising a weight."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = [
    "Factored",
    "Rank",
    "by_energy",
    "by_parameters",
    "chain",
    "check_whole",
    "chosen",
    "factorise",
    "part",
    "truncated",
]

Rank = int | Callable[[Tensor, tuple[int, int]], int]


@dataclass(frozen=True, slots=True)
class Factored:
    """A layer in factors.

    Attributes:
        layers: the layers that replace it, in order.
        ranks: how many directions were kept: one number, or one for each axis that was cut.
        error: distance of the weight from what the factors multiply to, as a share of its length
            (Frobenius norm).
        parameters: how many there were, and are.
    """

    layers: nn.Sequential
    ranks: tuple[int, ...]
    error: float
    parameters: tuple[int, int]


def factorise(
    network: nn.Module, how: Mapping[str, Callable[[nn.Module], Factored]]
) -> tuple[nn.Module, dict[str, Factored]]:
    """Replace layers of a network by their factors.

    Args:
        network: left as it is.
        how: for the names of some layers, what makes factors of one: `partial(svd, rank=10)`.

    Returns:
        The new network, to be trained further, and the factors in it by name.

    Raises:
        ValueError: if the network has no such layer, or it cannot be factorised so.

    Example:
        >>> from functools import partial
        >>> from netwright.compress import svd
        >>> large = nn.Sequential(nn.Linear(20, 20), nn.ReLU())
        >>> _, found = factorise(large, {"0": partial(svd, rank=2)})
        >>> found["0"].parameters
        (420, 100)
    """
    network = copy.deepcopy(network)
    found = {}
    for name, factors in how.items():
        path, _, attribute = name.rpartition(".")
        if name not in dict(network.named_modules()) or not name:
            listed = ", ".join(n for n, m in network.named_modules() if hasattr(m, "weight"))
            raise ValueError(f"The network has no layer `{name}`; it has {listed}.")
        try:
            found[name] = factors(network.get_submodule(name))
        except ValueError as error:
            raise ValueError(f"Layer `{name}`: {error}") from error
        setattr(network.get_submodule(path), attribute, found[name].layers)
    return network, found


def by_energy(share: float) -> Rank:
    """Choose the smallest rank that holds a share of a weight's sum of squares.

    Args:
        share: in (0, 1].

    Raises:
        ValueError: if `share` is outside (0, 1].

    Example:
        >>> by_energy(0.9)(torch.tensor([4.0, 3.0, 1.0]), (3, 3))
        2
    """
    _check_share(share)

    def rank(values: Tensor, shape: tuple[int, int]) -> int:
        held = values.double().square().cumsum(0)
        return int((held >= share * held[-1] * (1 - 1e-12)).nonzero()[0]) + 1  # rounding

    return rank


def by_parameters(share: float) -> Rank:
    """Choose the largest rank at which two factors of a matrix have a share of its numbers.

    Args:
        share: in (0, 1]; a rank of 1 is the least.

    Raises:
        ValueError: if `share` is outside (0, 1].

    Example:
        >>> by_parameters(0.5)(torch.ones(100), (100, 300))
        37
    """
    _check_share(share)

    def rank(values: Tensor, shape: tuple[int, int]) -> int:
        rows, columns = shape
        return max(1, min(int(share * rows * columns / (rows + columns)), len(values)))

    return rank


def truncated(
    matrix: Float[Tensor, "rows columns"], rank: Rank
) -> tuple[Float[Tensor, "rows rank"], Float[Tensor, "rank columns"]]:
    """Return the two factors that are nearest to a matrix; its singular values go to both evenly.

    Args:
        matrix: what is factorised.
        rank: how many directions, or what chooses it.

    Raises:
        ValueError: if `rank` is not possible.
    """
    left, values, right = torch.linalg.svd(matrix.detach().double(), full_matrices=False)
    n = chosen(rank, values, matrix.shape)
    root = values[:n].sqrt()
    return (left[:, :n] * root).to(matrix), (root[:, None] * right[:n]).to(matrix)


def chosen(rank: Rank, values: Tensor, shape: torch.Size) -> int:
    """Return a rank as a number.

    Args:
        rank: a number, or what chooses it.
        values: singular values, decreasing.
        shape: of the matrix.

    Raises:
        ValueError: if it is not possible.
    """
    n = rank if isinstance(rank, int) else rank(values, (shape[0], shape[1]))
    if not 1 <= n <= len(values):
        raise ValueError(f"`rank` must lie in 1..{len(values)}; got {n}.")
    return n


def part(
    layer: nn.Conv2d,
    into: int,
    out: int,
    *,
    rows: bool,
    columns: bool,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Make a convolution that does part of another's work; its weights are not set.

    Args:
        layer: whose kernel, stride, padding and dilation it has.
        into: channels that come in.
        out: channels that go out.
        rows: whether it works along the vertical axis; one pixel high if not.
        columns: whether it works along the horizontal axis; one pixel wide if not.
        groups: as in torch.
        bias: as in torch.
    """

    def each(sizes: tuple[int, ...], otherwise: int) -> tuple[int, int]:
        return (sizes[0] if rows else otherwise, sizes[1] if columns else otherwise)

    padding = layer.padding if isinstance(layer.padding, str) else each(layer.padding, 0)
    made: nn.Conv2d = nn.utils.skip_init(  # type: ignore[assignment]
        nn.Conv2d,
        into,
        out,
        each(layer.kernel_size, 1),
        stride=each(layer.stride, 1),
        padding=padding,
        dilation=each(layer.dilation, 1),
        groups=groups,
        bias=bias,
        padding_mode=layer.padding_mode if rows or columns else "zeros",
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )
    return made


def check_whole(layer: nn.Conv2d) -> None:
    """Refuse convolutions with groups.

    Args:
        layer: to be factorised.

    Raises:
        ValueError: if it has groups.
    """
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1:
        raise ValueError(f"`layer` must be a Conv2d of one group; got {layer}.")


@torch.no_grad()
def chain(
    layer: nn.Linear | nn.Conv2d,
    parts: Sequence[tuple[nn.Module, Tensor]],
    ranks: tuple[int, ...],
    product: Tensor,
) -> Factored:
    """Put weights into the layers that replace another; the last one has its bias.

    Args:
        layer: what they replace.
        parts: the layers and their weights.
        ranks: how many directions were kept.
        product: what the factors multiply to, of the weight's shape.
    """
    for module, weight in parts:
        module.get_parameter("weight").copy_(weight)
    layers = nn.Sequential(*(module for module, _ in parts))
    if layer.bias is not None:
        layers[-1].get_parameter("bias").copy_(layer.bias)
    length = layer.weight.norm().item()
    error = (layer.weight - product).norm().item() / length if length else 0.0
    counts = [sum(p.numel() for p in each.parameters()) for each in (layer, layers)]
    return Factored(layers.train(layer.training), ranks, error, (counts[0], counts[1]))


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"`share` must lie in (0, 1]; got {share}.")
