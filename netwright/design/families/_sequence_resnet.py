"""Residual convolutional networks over steps (Wang, Yan, Oates, IJCNN 2017, arXiv:1611.06455)."""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_series_layer,
    last_layers,
    require_kind,
    require_one_each,
)
from netwright.nn import OverSteps, series_residual

__all__ = ["sequence_resnet"]


def sequence_resnet(
    schema: Schema,
    *,
    widths: Sequence[int] = (32, 64, 64),
    strides: Sequence[int] = (1, 1, 1),
    kernels: Sequence[int] = (7, 5, 3),
    p_drop: float = 0.0,
    p_drop_block: float = 0.0,
) -> nn.Sequential:
    """Build residual blocks, each of some convolutions, and a head on the means over steps.

    Args:
        schema: of the task; a sequence input.
        widths: channels of each block.
        strides: 1 or 2 for each block; 2 halves the sequence.
        kernels: steps that each convolution of a block covers, odd.
        p_drop: dropout before the head.
        p_drop_block: probability that a block's branch is left out for an example.

    Returns:
        A sequence: encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no sequence, or `widths` and `strides` differ in length.
    """
    require_kind(schema, "sequence", "sequence_resnet")
    require_one_each("strides", strides, widths)
    front = first_series_layer(schema)
    layers, channels = [], front.out_features
    for width, stride in zip(widths, strides, strict=True):
        layers.append(
            series_residual(channels, width, kernels=kernels, stride=stride, p_drop=p_drop_block)
        )
        channels = width
    encoder = OverSteps(front, layers, [1, *strides])
    return assemble(("encode", encoder), *last_layers(schema, channels, p_drop))
