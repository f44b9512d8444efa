"""A stack of layers with skip connections: each layer reads the one before and any further back.

Steps and words end with their example: a mask says where, and what lies behind is 0 before every
layer, so that it does not matter how far an example is padded.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.design.families._steps import at_steps
from netwright.design.spaces._operations import Kind, halving, operation

__all__ = ["SkipStack", "read_layers"]


class SkipStack(nn.Module):
    """Layers in order; what a layer reads is joined along channels or features.

    Attributes:
        layers: the layers.
        shrink: for each skip connection that crosses a halving, the means that make it fit, by its
            ends, for example `shrink["0-2"]`.
        skips: for each layer, which earlier ones it reads besides the one before, counted from 0.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        skips: Sequence[Sequence[int]],
        shrink: Mapping[str, nn.Module],
    ) -> None:
        """Keep the layers.

        Args:
            layers: in order.
            skips: for each layer, the places of earlier layers that it reads besides the one
                before.
            shrink: what brings a skipped output to the size of the layer's input, by both ends.
        """
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.shrink = nn.ModuleDict(dict(shrink))
        self.skips = [tuple(each) for each in skips]

    def forward(
        self,
        x: Float[Tensor, "batch channels *size"],
        mask: Float[Tensor, "batch 1 steps"] | None = None,
    ) -> Float[Tensor, "batch out_channels *out_size"]:
        """Return the last layer's output; `mask` is 0 behind the end of an example."""
        outputs = []
        for number, (layer, skips) in enumerate(zip(self.layers, self.skips, strict=True)):
            read = [x]
            for place in skips:
                name = f"{place}-{number}"
                skipped = outputs[place]
                for halve in self.shrink[name] if name in self.shrink else ():  # type: ignore
                    skipped = at_steps(halve(skipped), mask)
                read.append(skipped)
            x = at_steps(layer(torch.cat(read, dim=1) if len(read) > 1 else x), mask)
            outputs.append(x)
        return x

    def extra_repr(self) -> str:
        """Show the skip connections."""
        return f"skips={self.skips}"


def read_layers(
    layers: Sequence[Mapping[str, Any]], kind: Kind, n_in: int
) -> tuple[SkipStack, int]:
    """Build a stack from its description.

    Args:
        layers: for each layer "operation", "width", and optionally "stride" (1) and "skips" ([]).
        kind: of what the layers work on.
        n_in: channels or features that come in.

    Returns:
        The stack, and the channels or features that leave it.

    Raises:
        ValueError: if there is no layer, an entry is unknown or missing, a width or stride makes no
            sense, or a skip connection does not come from further back.
    """
    if not layers:
        raise ValueError("`layers` must describe at least one layer; got none.")
    built: list[nn.Module] = []
    widths: list[int] = []
    halvings: list[int] = []  # of each layer's output
    shrink: dict[str, nn.Module] = {}
    wiring: list[Sequence[int]] = []
    for number, layer in enumerate(layers):
        name, width, stride, skips = _entries(layer, number)
        if kind == "row" and stride != 1:
            raise ValueError(f"Rows have no size to halve: `stride` must be 1; got {stride}.")
        halved = halvings[-1] if halvings else 0
        incoming = widths[-1] if widths else n_in
        for place in skips:
            incoming += widths[place]
            missing = halved - halvings[place]
            if missing:
                shrink[f"{place}-{number}"] = nn.Sequential(
                    *(halving(kind) for _ in range(missing))
                )
        built.append(operation(name, kind).build(incoming, width, stride))
        widths.append(width)
        halvings.append(halved + (stride == 2))
        wiring.append(skips)
    return SkipStack(built, wiring, shrink), widths[-1]


def _entries(layer: Mapping[str, Any], number: int) -> tuple[str, int, int, Sequence[int]]:
    unknown = set(layer) - {"operation", "width", "stride", "skips"}
    if unknown or not {"operation", "width"} <= set(layer):
        raise ValueError(
            f"Layer {number} of `layers` has the entries operation, width, and optionally stride "
            f"and skips; got {', '.join(layer)}."
        )
    width, stride, skips = layer["width"], layer.get("stride", 1), layer.get("skips", ())
    if width < 1 or stride not in (1, 2):
        raise ValueError(
            f"Layer {number} of `layers` must have a positive width and a stride of 1 or 2; got "
            f"{width} and {stride}."
        )
    if list(skips) != sorted(set(skips)) or any(not 0 <= place < number - 1 for place in skips):
        raise ValueError(
            f"`skips` of layer {number} must be increasing places of layers before the last one, "
            f"from 0 to {number - 2}; got {list(skips)}."
        )
    return layer["operation"], width, stride, skips
