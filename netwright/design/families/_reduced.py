"""A network of another family in the sizes that compression has left."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from netwright.data._schema import Schema
from netwright.design._build_network import family
from netwright.nn._resized import resized

__all__ = ["reduced"]


def reduced(
    schema: Schema,
    *,
    base: str = "small_cnn",
    arguments: Mapping[str, Any] | None = None,
    factors: Mapping[str, Sequence[int]] | None = None,
    joined: Sequence[Sequence[str]] = (),
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> nn.Module:
    """Build a network of another family, then make its layers thinner.

    Args:
        schema: of the task.
        base: the family that the network began in.
        arguments: of that family; its defaults if None.
        factors: for the names of layers, the ranks of the thinner layers that replace each.
        joined: pairs of names: a layer, and the batch normalisation that it has taken over.
        sizes: for the names of parameters and buffers, what is left of their shapes.

    Raises:
        ValueError: if there is no such family, or it has no such layers.
    """
    network = family(base)(schema, **(arguments or {}))
    return resized(network, factors=factors, joined=joined, sizes=sizes)
