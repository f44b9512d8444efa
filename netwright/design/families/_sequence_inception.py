"""InceptionTime: kernels of several lengths side by side (Ismail Fawaz et al. 2020)."""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_series_layer,
    last_layers,
    require_kind,
)
from netwright.nn import ConvNorm1d, OverSteps, inception_residual

__all__ = ["sequence_inception"]


def sequence_inception(
    schema: Schema,
    *,
    width: int = 16,
    n_blocks: int = 2,
    depth: int = 3,
    kernels: Sequence[int] = (39, 19, 9),
    stem: int = 16,
    stem_stride: int = 1,
    p_drop: float = 0.0,
) -> nn.Sequential:
    """Build a stem, blocks of inception modules, and a head on the means over steps.

    Args:
        schema: of the task; a sequence input.
        width: channels of each part of a module; there are as many parts as kernels, and one more.
        n_blocks: residual blocks.
        depth: modules in each block.
        kernels: steps that each kernel covers, odd.
        stem: channels of the first convolution.
        stem_stride: steps that the first convolution makes one.
        p_drop: dropout before the head.

    Returns:
        A sequence: encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no sequence, or there is no block or module.
    """
    require_kind(schema, "sequence", "sequence_inception")
    if n_blocks < 1 or depth < 1:
        raise ValueError(f"`n_blocks` and `depth` must be at least 1; got {n_blocks} and {depth}.")
    front = first_series_layer(schema)
    kernel = 3 if stem_stride == 1 else 2 * stem_stride + 1
    layers: list[nn.Module] = [
        ConvNorm1d(front.out_features, stem, kernel=kernel, stride=stem_stride)
    ]
    channels = stem
    for _ in range(n_blocks):
        layers.append(inception_residual(channels, width, depth=depth, kernels=kernels))
        channels = width * (len(kernels) + 1)
    encoder = OverSteps(front, layers, [1, stem_stride, *[1] * n_blocks])
    return assemble(("encode", encoder), *last_layers(schema, channels, p_drop))
