"""Convolutional networks over log-mel spectrograms, for sound and vibration."""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    last_layers,
    require_kind,
    require_one_each,
    series_statistics,
)
from netwright.nn import BandDropout, ConvNorm, LogMel, OverSteps, frame_residual

__all__ = ["sequence_spectrogram"]


def sequence_spectrogram(
    schema: Schema,
    *,
    window: int = 256,
    hop: int = 128,
    n_bands: int = 32,
    widths: Sequence[int] = (16, 32, 64),
    blocks: Sequence[int] = (1, 1, 1),
    n_mask: int = 8,
    p_drop: float = 0.0,
) -> nn.Sequential:
    """Build the spectrogram, stages of convolutions that halve it, and a head.

    The means go over time alone: bands of different pitch stay apart.

    Args:
        schema: of the task; a sequence input.
        window: steps of a window, even; a power of two near a fiftieth of a second suits speech.
        hop: steps between frames.
        n_bands: bands of the mel scale.
        widths: channels of each stage.
        blocks: residual blocks of each stage.
        n_mask: most neighbouring bands that are left out of an example while training.
        p_drop: dropout before the head.

    Returns:
        A sequence: encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no sequence, or `widths` and `blocks` differ in length.
    """
    require_kind(schema, "sequence", "sequence_spectrogram")
    require_one_each("blocks", blocks, widths)
    mean, std = series_statistics(schema)
    rate = schema.input.rate or 1.0
    front = LogMel(mean, std, rate=rate, window=window, hop=hop, n_bands=n_bands)
    layers: list[nn.Module] = [BandDropout(n_mask)] if n_mask else []
    strides = [hop, *[1] * len(layers)]
    channels, tall = schema.input.shape[0], front.n_bands
    for width, count in zip(widths, blocks, strict=True):
        layers.append(ConvNorm(channels, width, stride=2))
        strides.append(2)
        for _ in range(count):
            layers.append(frame_residual(width))
            strides.append(1)
        channels, tall = width, (tall + 1) // 2
    encoder = OverSteps(front, layers, strides)
    return assemble(("encode", encoder), *last_layers(schema, channels * tall, p_drop))
