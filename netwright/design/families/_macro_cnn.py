"""Whole convolutional networks, layer by layer, with skip connections between any two layers.

Paper:    Zoph, Le. Neural Architecture Search with Reinforcement Learning. ICLR 2017,
          arXiv:1611.01578, sections 3.3 (skip connections, joined along the channels).
Departs:  each layer always reads the one before; skipped outputs are averaged down, not padded, to
          the size of the layer that reads them; widths and operations beside kernel sizes vary.
Notation: `layers[i]["skips"]` = the anchor points that layer i is connected to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_image_layer,
    last_layers,
    require_kind,
)
from netwright.design.families._macro_layers import read_layers
from netwright.nn import GlobalPool

__all__ = ["macro_cnn"]

_DEFAULT = (
    {"operation": "conv3x3", "width": 16},
    {"operation": "conv3x3", "width": 32, "stride": 2},
    {"operation": "conv3x3", "width": 32, "skips": [0]},
    {"operation": "conv3x3", "width": 64, "stride": 2},
)


def macro_cnn(
    schema: Schema, *, layers: Sequence[Mapping[str, Any]] = _DEFAULT, p_drop: float = 0.0
) -> nn.Sequential:
    """Build the layers that are described, and a head on the channels' means.

    Args:
        schema: of the task; an image input.
        layers: for each layer its "operation" (a name from the table of operations), "width"
            (channels), and optionally "stride" (1 or 2) and "skips" (places, from 0, of the layers
            that it reads besides the one before).
        p_drop: dropout before the head.

    Returns:
        A sequence: normalise, stack, pool, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no image, or a layer is not described as above.
    """
    require_kind(schema, "image", "macro_cnn")
    stack, channels = read_layers(layers, "image", schema.input.shape[0])
    return assemble(
        ("normalise", first_image_layer(schema)),
        ("stack", stack),
        ("pool", GlobalPool()),
        *last_layers(schema, channels, p_drop),
    )
