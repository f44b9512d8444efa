"""Recurrent networks over steps, from both ends (Schuster, Paliwal 1997; Cho et al. 2014)."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import (
    assemble,
    first_series_layer,
    last_layers,
    require_kind,
)
from netwright.nn import ConvNorm1d, SeriesGru

__all__ = ["sequence_gru"]


def sequence_gru(
    schema: Schema,
    *,
    width: int = 32,
    hidden: int = 64,
    stride: int = 1,
    p_drop: float = 0.2,
) -> nn.Sequential:
    """Build a convolution that may shorten the sequence, both recurrences, and a head.

    Args:
        schema: of the task; a sequence input.
        width: channels of the convolution.
        hidden: length of each state.
        stride: steps that the convolution makes one: a recurrence walks them one after the other.
        p_drop: dropout before the recurrences and before the head.

    Returns:
        A sequence: encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no sequence.
    """
    require_kind(schema, "sequence", "sequence_gru")
    front = first_series_layer(schema)
    kernel = 3 if stride == 1 else 2 * stride + 1
    stem = ConvNorm1d(front.out_features, width, kernel=kernel, stride=stride)
    encoder = SeriesGru(front, stem, width, hidden=hidden, stride=stride, p_drop=p_drop)
    return assemble(("encode", encoder), *last_layers(schema, encoder.out_features, p_drop))
