"""Residual convolutional networks for images, from 8x8 to 96x96 pixels and beyond."""

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
from netwright.nn import ConvNorm, GlobalPool, Residual

__all__ = ["residual_cnn"]


def residual_cnn(
    schema: Schema,
    *,
    widths: Sequence[int] = (16, 32, 64),
    blocks: Sequence[int] = (1, 1, 1),
    stem_stride: int = 1,
    squeeze: bool = False,
    p_drop: float = 0.0,
    p_drop_block: float = 0.0,
) -> nn.Sequential:
    """Build a stem and stages of residual blocks; each stage but the first halves the image.

    Args:
        schema: of the task; an image input.
        widths: channels of each stage.
        blocks: residual blocks of each stage; 0 shrinks by one plain convolution alone.
        stem_stride: 1 keeps the image's size in the stem, 2 halves it.
        squeeze: whether the blocks reweight their channels.
        p_drop: dropout before the head.
        p_drop_block: probability that the last block is left out for an example; it falls linearly
            towards the first block.

    Returns:
        A sequence: normalise, stem, stage1 .., pool, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no image, or `widths` and `blocks` differ in length.
    """
    require_kind(schema, "image", "residual_cnn")
    require_one_each("blocks", blocks, widths)
    layers: list[tuple[str, nn.Module]] = [
        ("normalise", first_image_layer(schema)),
        ("stem", ConvNorm(schema.input.shape[0], widths[0], stride=stem_stride)),
    ]
    channels, built, total = widths[0], 0, max(1, sum(blocks) - 1)
    for number, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        stage = nn.Sequential()
        stride = 1 if number == 1 else 2
        if count == 0 and number > 1:
            stage.append(ConvNorm(channels, width, stride=stride))
        for place in range(count):
            stage.append(
                Residual(
                    channels if place == 0 else width,
                    width,
                    stride=stride if place == 0 else 1,
                    squeeze=squeeze,
                    p_drop=p_drop_block * built / total,
                )
            )
            built += 1
        channels = width
        if len(stage):
            layers.append((f"stage{number}", stage))
    layers.append(("pool", GlobalPool()))
    return assemble(*layers, *last_layers(schema, channels, p_drop))
