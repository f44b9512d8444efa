"""Plain and residual multi-layer networks for tables."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.design.families._numbers import encoder_of_numbers
from netwright.nn import TableEncoder

__all__ = ["table_mlp"]


def table_mlp(
    schema: Schema,
    *,
    width: int = 128,
    depth: int = 2,
    numbers: str = "piecewise",
    number_width: int = 12,
    category_width: int = 8,
    p_drop: float = 0.1,
) -> nn.Sequential:
    """Build an encoder of the columns and layers of ReLU units.

    Args:
        schema: of the task; a table input.
        width: units of each layer.
        depth: number of layers; 0 is a linear model of the encoded columns.
        numbers: encoding of numbers: "standard", "piecewise" or "periodic".
        number_width: numbers that each number becomes; unused by "standard".
        category_width: length of a category's embedding.
        p_drop: dropout after each layer.

    Returns:
        A sequence: encode, layer1 .., head(, denormalise).

    Raises:
        ValueError: if the input is no table.
    """
    require_kind(schema, "table", "table_mlp")
    encoder = TableEncoder(
        schema.input.columns,
        encode_numbers=encoder_of_numbers(numbers, number_width),
        category_width=category_width,
    )
    layers: list[tuple[str, nn.Module]] = [("encode", encoder)]
    features = encoder.out_features
    for number in range(1, depth + 1):
        layer = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Dropout(p_drop))
        layers.append((f"layer{number}", layer))
        features = width
    return assemble(*layers, *last_layers(schema, features))
