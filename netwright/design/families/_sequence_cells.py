"""Networks of stacked cells for sequences: graphs of convolutions over steps, some of which halve.

Paper:    Zoph, Vasudevan, Shlens, Le. Learning Transferable Architectures for Scalable Image
          Recognition. CVPR 2018, arXiv:1707.07012, section 3, over steps instead of pixels.
Departs:  as `_cell_graph`; the stem is one convolution over 9 steps.
Notation: as `_cell_graph`.
"""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._cell_graph import Node, stack_cells
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.design.families._fronts import read_series
from netwright.design.families._steps import MeanOverSteps, StackWithin, StepsWithin

__all__ = ["sequence_cells"]

_NORMAL = ((0, "conv5", 1, "identity"), (1, "dil3by4", 2, "identity"))
_REDUCTION = ((0, "conv5", 1, "conv5"), (1, "maxpool3", 2, "identity"))


def sequence_cells(
    schema: Schema,
    *,
    normal: Sequence[Node] = _NORMAL,
    reduction: Sequence[Node] = _REDUCTION,
    width: int = 16,
    n_normal: int = 1,
    n_reductions: int = 1,
    p_drop: float = 0.0,
) -> nn.Sequential:
    """Build a stem, cells over the steps, and a head on the channels' means.

    Args:
        schema: of the task; a sequence input.
        normal: nodes of the cells that keep the length: two states and the names of two operations
            on sequences each, for example [0, "conv5", 1, "identity"].
        reduction: nodes of the cells that halve it.
        width: channels of each node before the first reduction; each reduction doubles it.
        n_normal: normal cells in a row.
        n_reductions: reduction cells.
        p_drop: dropout before the head.

    Returns:
        A sequence: encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no sequence, there is no cell, or a node is not as above.
    """
    require_kind(schema, "sequence", "sequence_cells")
    stack, channels = stack_cells(
        "sequence", normal, reduction, width=width, n_normal=n_normal, n_reductions=n_reductions
    )
    encoder = StackWithin(read_series(schema, width), StepsWithin(), stack, MeanOverSteps())
    return assemble(("encode", encoder), *last_layers(schema, channels, p_drop))
