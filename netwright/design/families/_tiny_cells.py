"""Networks of a few thousand weights: cells of five edges, with an operation on each edge.

Paper:    Dong, Yang. NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search.
          ICLR 2020, arXiv:2001.00326, figure 1 (a stem, cells whose nodes add what their edges
          bring, a halving block between cells).
Departs:  no edge from the input to the output, so 3,125 cells; one cell a stage instead of five.
          Batch normalisation stands before the ReLU.
Notation: `EDGES` = (source, node) of each edge; 0 is the input, 3 the output.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_image_layer,
    last_layers,
    require_kind,
)
from netwright.design.spaces._operations import NONE, operation
from netwright.nn import ConvNorm, GlobalPool

__all__ = ["EDGES", "TinyCell", "tiny_cell", "tiny_cells"]

EDGES = ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3))
_OUT = 3


class TinyCell(nn.Module):
    """A directed graph whose nodes add up what arrives; what leads nowhere is left out.

    Attributes:
        edges: the operation of each edge that lies on a way from the input to the output, by its
            ends, for example `edges["0-2"]`.
    """

    def __init__(self, edges: Mapping[str, nn.Module]) -> None:
        """Keep the operations.

        Args:
            edges: the operation of each edge by its ends, for example "0-2"; sources before the
                nodes that they reach.
        """
        super().__init__()
        self.edges = nn.ModuleDict(dict(edges))

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Return what arrives at the output: zeros if nothing does."""
        states = {0: x}
        for name, edge in self.edges.items():
            source, node = int(name[0]), int(name[2])
            arriving = edge(states[source])
            states[node] = states[node] + arriving if node in states else arriving
        return states[_OUT] if _OUT in states else torch.zeros_like(x)


def tiny_cell(width: int, edges: Sequence[str]) -> TinyCell:
    """Build a cell from the names of its operations.

    Args:
        width: channels that come in and go out.
        edges: operation on each edge, in the order of `EDGES`.
    """
    return TinyCell(
        {
            f"{source}-{node}": operation(name, "image").build(width, width, 1)
            for (source, node), name in zip(EDGES, _live(edges), strict=True)
            if name != NONE
        }
    )


def _live(edges: Sequence[str]) -> list[str]:
    """Replace operations that no way from the input to the output uses by none."""
    given = [edge for edge, name in zip(EDGES, edges, strict=True) if name != NONE]
    reached, reaching = {0}, {_OUT}
    for source, node in given:
        if source in reached:
            reached.add(node)
    for source, node in reversed(given):
        if node in reaching:
            reaching.add(source)
    return [
        name if source in reached and node in reaching else NONE
        for (source, node), name in zip(EDGES, edges, strict=True)
    ]


def tiny_cells(
    schema: Schema,
    *,
    edges: Sequence[str] = ("conv3x3", "identity", "conv3x3", "identity", "conv3x3"),
    widths: Sequence[int] = (8, 16),
    stem_stride: int = 1,
) -> nn.Sequential:
    """Build a stem, one cell a width with a halving convolution between, and a head.

    Args:
        schema: of the task; an image input.
        edges: operation on each of the five edges: input to node 1, input to node 2, node 1 to node
            2, node 1 to the output, node 2 to the output; "none" leaves an edge out.
        widths: channels of each cell.
        stem_stride: of the first convolution; 2 halves the image before the first cell.

    Returns:
        A sequence: normalise, stem, cell1, (halve2, cell2 ..) pool, head(, denormalise).

    Raises:
        ValueError: if the input is no image, there are not five edges or no width, the stride is
            not positive, or an operation is unknown.
    """
    require_kind(schema, "image", "tiny_cells")
    if stem_stride < 1:
        raise ValueError(f"`stem_stride` must be at least 1; got {stem_stride}.")
    if len(edges) != len(EDGES):
        raise ValueError(f"`edges` must name {len(EDGES)} operations; got {len(edges)}.")
    if not widths:
        raise ValueError("`widths` must have a number for each cell; got none.")
    layers: list[tuple[str, nn.Module]] = [
        ("normalise", first_image_layer(schema)),
        ("stem", ConvNorm(schema.input.shape[0], widths[0], stride=stem_stride)),
        ("cell1", tiny_cell(widths[0], edges)),
    ]
    for number, width in enumerate(widths[1:], start=2):
        layers.append((f"halve{number}", ConvNorm(widths[number - 2], width, stride=2)))
        layers.append((f"cell{number}", tiny_cell(width, edges)))
    layers.append(("pool", GlobalPool()))
    return assemble(*layers, *last_layers(schema, widths[-1]))
