"""Whole networks for sequences, layer by layer, with skip connections between any two layers.

Paper:    Zoph, Le. Neural Architecture Search with Reinforcement Learning. ICLR 2017,
          arXiv:1611.01578, section 3.3, over steps instead of pixels.
Departs:  as `macro_cnn`; what lies behind a sequence's end is 0 before every layer.
Notation: `layers[i]["skips"]` = the anchor points that layer i is connected to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_series_layer,
    last_layers,
    require_kind,
)
from netwright.design.families._macro_layers import read_layers
from netwright.design.families._steps import MeanOverSteps, StackWithin, StepsWithin

__all__ = ["macro_sequence"]

_DEFAULT = (
    {"operation": "conv9", "width": 32},
    {"operation": "conv5", "width": 64, "stride": 2},
    {"operation": "dil3by4", "width": 64, "skips": [0]},
)


def macro_sequence(
    schema: Schema, *, layers: Sequence[Mapping[str, Any]] = _DEFAULT, p_drop: float = 0.0
) -> nn.Sequential:
    """Build the layers that are described, and a head on the channels' means over the steps.

    Args:
        schema: of the task; a sequence input.
        layers: for each layer its "operation" (a name from the table of operations on sequences),
            "width" (channels), and optionally "stride" (1 or 2) and "skips" (places, from 0, of the
            layers that it reads besides the one before).
        p_drop: dropout before the head.

    Returns:
        A sequence: encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no sequence, or a layer is not described as above.
    """
    require_kind(schema, "sequence", "macro_sequence")
    front = first_series_layer(schema)
    stack, channels = read_layers(layers, "sequence", front.out_features)
    encoder = StackWithin(front, StepsWithin(), stack, MeanOverSteps())
    return assemble(("encode", encoder), *last_layers(schema, channels, p_drop))
