"""Plain networks over all steps at once, for short sequences that begin at the same moment."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_series_layer,
    last_layers,
    require_kind,
)

__all__ = ["sequence_mlp"]


def sequence_mlp(
    schema: Schema, *, width: int = 64, depth: int = 1, p_drop: float = 0.2
) -> nn.Sequential:
    """Build layers of ReLU units over every channel of every step.

    Args:
        schema: of the task; a sequence input.
        width: units of each layer.
        depth: number of layers; 0 is a linear model.
        p_drop: dropout after each layer, or before the head of a linear model.

    Returns:
        A sequence: standardise, flatten, layer1 .., (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no sequence.
    """
    require_kind(schema, "sequence", "sequence_mlp")
    front = first_series_layer(schema)
    layers: list[tuple[str, nn.Module]] = [("standardise", front), ("flatten", nn.Flatten())]
    features = front.out_features * schema.input.shape[1]
    for number in range(1, depth + 1):
        layer = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Dropout(p_drop))
        layers.append((f"layer{number}", layer))
        features = width
    return assemble(*layers, *last_layers(schema, features, 0.0 if depth else p_drop))
