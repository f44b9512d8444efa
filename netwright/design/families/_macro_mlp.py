"""Whole networks for tables, layer by layer, with skip connections between any two layers.

Paper:    Zoph, Le. Neural Architecture Search with Reinforcement Learning. ICLR 2017,
          arXiv:1611.01578, section 3.3, for rows instead of images.
Departs:  as `macro_cnn`; a row has no size that a stride could halve.
Notation: `layers[i]["skips"]` = the anchor points that layer i is connected to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.design.families._macro_layers import read_layers
from netwright.design.families._numbers import encoder_of_numbers
from netwright.nn import TableEncoder

__all__ = ["macro_mlp"]

_DEFAULT = ({"operation": "linear", "width": 64}, {"operation": "residual", "width": 64})


def macro_mlp(
    schema: Schema,
    *,
    layers: Sequence[Mapping[str, Any]] = _DEFAULT,
    numbers: str = "piecewise",
    number_width: int = 8,
    category_width: int = 8,
    p_drop: float = 0.1,
) -> nn.Sequential:
    """Build an encoder of the columns, the layers that are described, and a head.

    Args:
        schema: of the task; a table input.
        layers: for each layer its "operation" (a name from the table of operations on rows),
            "width" (units), and optionally "skips" (places, from 0, of the layers that it reads
            besides the one before).
        numbers: encoding of numbers: "standard", "piecewise" or "periodic".
        number_width: numbers that each number becomes; unused by "standard".
        category_width: length of a category's embedding.
        p_drop: dropout before the head.

    Returns:
        A sequence: encode, stack, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no table, or a layer is not described as above.
    """
    require_kind(schema, "table", "macro_mlp")
    encoder = TableEncoder(
        schema.input.columns,
        encode_numbers=encoder_of_numbers(numbers, number_width),
        category_width=category_width,
    )
    stack, features = read_layers(layers, "row", encoder.out_features)
    return assemble(("encode", encoder), ("stack", stack), *last_layers(schema, features, p_drop))
