"""Convolutions and a hidden layer, nothing else: networks whose bounds stay tight.

Paper:    Gowal et al. On the Effectiveness of Interval Bound Propagation for Training Verifiably
          Robust Models. 2018, arXiv:1810.12715, table 1 (the network "small").
Departs:  widths are arguments; a convolution has a kernel of two pixels more than its stride.
Notation: none.
"""

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

__all__ = ["plain_cnn"]


def plain_cnn(
    schema: Schema,
    *,
    widths: Sequence[int] = (16, 32),
    strides: Sequence[int] = (2, 2),
    hidden: int = 64,
    p_drop: float = 0.0,
) -> nn.Sequential:
    """Build convolutions with ReLUs, a hidden layer that sees every pixel left, and a head.

    Args:
        schema: of the task; an image input.
        widths: channels of each convolution.
        strides: 1 or 2 for each of them; 2 halves the image.
        hidden: units of the hidden layer.
        p_drop: dropout before the head.

    Returns:
        A sequence: normalise, conv1, relu1, .., flatten, hidden, relu, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no image, `widths` and `strides` differ in length, or the image
            is too small for so many halvings.
    """
    require_kind(schema, "image", "plain_cnn")
    require_one_each("strides", strides, widths)
    channels, height, width = schema.input.shape
    layers: list[tuple[str, nn.Module]] = [("normalise", first_image_layer(schema))]
    for number, (wide, stride) in enumerate(zip(widths, strides, strict=True), start=1):
        layers.append((f"conv{number}", nn.Conv2d(channels, wide, stride + 2, stride, padding=1)))
        layers.append((f"relu{number}", nn.ReLU()))
        channels, height, width = wide, height // stride, width // stride
    if not height * width:
        raise ValueError(
            f"`strides` shrink an image of {schema.input.shape[1]} x {schema.input.shape[2]} to "
            f"nothing; got {list(strides)}."
        )
    layers.append(("flatten", nn.Flatten()))
    layers.append(("hidden", nn.Linear(channels * height * width, hidden)))
    layers.append(("relu", nn.ReLU()))
    return assemble(*layers, *last_layers(schema, hidden, p_drop))
