"""Convolutional networks of a few kilobytes: depthwise-separable convolutions throughout."""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_image_layer,
    last_layers,
    require_kind,
    require_one_each,
)
from netwright.nn import ConvNorm, GlobalPool, Separable

__all__ = ["small_cnn"]


def small_cnn(
    schema: Schema,
    *,
    stem: int = 8,
    widths: Sequence[int] = (16, 32),
    strides: Sequence[int] = (2, 2),
    stem_stride: int = 1,
    p_drop: float = 0.0,
) -> nn.Sequential:
    """Build a stem, separable convolutions, and a head on the channels' means.

    Args:
        schema: of the task; an image input.
        stem: channels of the first, full convolution.
        widths: channels of each separable convolution.
        strides: 1 or 2 for each of them; 2 halves the image.
        stem_stride: 1 keeps the image's size in the stem, 2 halves it.
        p_drop: dropout before the head.

    Returns:
        A sequence: normalise, stem, block1 .., pool, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no image, or `widths` and `strides` differ in length.
    """
    require_kind(schema, "image", "small_cnn")
    require_one_each("strides", strides, widths)
    layers: list[tuple[str, nn.Module]] = [
        ("normalise", first_image_layer(schema)),
        ("stem", ConvNorm(schema.input.shape[0], stem, stride=stem_stride)),
    ]
    channels = stem
    for number, (width, stride) in enumerate(zip(widths, strides, strict=True), start=1):
        layers.append((f"block{number}", Separable(channels, width, stride=stride)))
        channels = width
    layers.append(("pool", GlobalPool()))
    return assemble(*layers, *last_layers(schema, channels, p_drop))
