"""Networks of stacked cells for images: one kind that keeps the size and one that halves it.

Paper:    Zoph, Vasudevan, Shlens, Le. Learning Transferable Architectures for Scalable Image
          Recognition. CVPR 2018, arXiv:1707.07012, section 3.
Departs:  as `_cell_graph`; the stem is one convolution.
Notation: as `_cell_graph`.
"""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._cell_graph import Node, stack_cells
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.design.families._fronts import read_images
from netwright.nn import GlobalPool

__all__ = ["cells"]

_NORMAL = ((0, "conv3x3", 1, "identity"), (1, "conv3x3", 2, "identity"))
_REDUCTION = ((0, "conv3x3", 1, "conv3x3"), (1, "avgpool3x3", 2, "identity"))


def cells(
    schema: Schema,
    *,
    normal: Sequence[Node] = _NORMAL,
    reduction: Sequence[Node] = _REDUCTION,
    width: int = 8,
    n_normal: int = 1,
    n_reductions: int = 1,
    p_drop: float = 0.0,
) -> nn.Sequential:
    """Build a stem, cells, and a head on the channels' means.

    Args:
        schema: of the task; an image input.
        normal: nodes of the cells that keep the image's size: two states and the names of two
            operations each, for example [0, "conv3x3", 1, "identity"].
        reduction: nodes of the cells that halve it.
        width: channels of each node before the first reduction; each reduction doubles it.
        n_normal: normal cells in a row.
        n_reductions: reduction cells.
        p_drop: dropout before the head.

    Returns:
        A sequence: normalise, stem, stack, pool, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no image, there is no cell, or a node is not as above.
    """
    require_kind(schema, "image", "cells")
    normalise, stem = read_images(schema, width)
    stack, channels = stack_cells(
        "image", normal, reduction, width=width, n_normal=n_normal, n_reductions=n_reductions
    )
    return assemble(
        ("normalise", normalise),
        ("stem", stem),
        ("stack", stack),
        ("pool", GlobalPool()),
        *last_layers(schema, channels, p_drop),
    )
