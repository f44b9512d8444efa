"""Networks of stacked cells for tables: graphs of layers on rows, which have no size to halve.

Paper:    Liu, Simonyan, Yang. DARTS: Differentiable Architecture Search. ICLR 2019,
          arXiv:1806.09055, section 2.1, for rows instead of images.
Departs:  as `_cell_graph`; there are normal cells only.
Notation: as `_cell_graph`.
"""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._cell_graph import Node, stack_cells
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.design.families._fronts import read_rows

__all__ = ["table_cells"]

_NORMAL = ((0, "linear", 1, "identity"), (1, "residual", 2, "identity"))


def table_cells(
    schema: Schema,
    *,
    normal: Sequence[Node] = _NORMAL,
    width: int = 32,
    n_normal: int = 2,
    numbers: str = "piecewise",
    number_width: int = 8,
    category_width: int = 8,
    p_drop: float = 0.1,
) -> nn.Sequential:
    """Build an encoder of the columns, cells of layers on rows, and a head.

    Args:
        schema: of the task; a table input.
        normal: nodes of the cells: two states and the names of two operations on rows each, for
            example [0, "linear", 1, "identity"].
        width: units of each node.
        n_normal: cells.
        numbers: encoding of numbers: "standard", "piecewise" or "periodic".
        number_width: numbers that each number becomes; unused by "standard".
        category_width: length of a category's embedding.
        p_drop: dropout before the head.

    Returns:
        A sequence: encode, stem, stack, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no table, there is no cell, or a node is not as above.
    """
    require_kind(schema, "table", "table_cells")
    encoder, stem = read_rows(
        schema,
        width,
        numbers=numbers,
        number_width=number_width,
        category_width=category_width,
    )
    stack, features = stack_cells(
        "row", normal, normal, width=width, n_normal=n_normal, n_reductions=0
    )
    return assemble(
        ("encode", encoder),
        ("stem", stem),
        ("stack", stack),
        *last_layers(schema, features, p_drop),
    )
