"""Convolution over windows of words (Kim, EMNLP 2014)."""

from collections.abc import Sequence

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.nn import TextConvolution, TokenDropout

__all__ = ["text_cnn"]


def text_cnn(
    schema: Schema,
    *,
    width: int = 64,
    n_filters: int = 64,
    windows: Sequence[int] = (1, 2, 3),
    p_drop_word: float = 0.1,
    p_drop: float = 0.5,
) -> nn.Sequential:
    """Build the filters and a head.

    Args:
        schema: of the task; a text input.
        width: length of a word's vector.
        n_filters: filters for each window.
        windows: words in each kind of window.
        p_drop_word: probability that a word is left out while training.
        p_drop: dropout of word vectors and before the head.

    Returns:
        A sequence: (words,) encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no text.
    """
    require_kind(schema, "text", "text_cnn")
    encoder = TextConvolution(
        len(schema.input.vocabulary) + 2,
        width,
        n_filters=n_filters,
        windows=windows,
        p_drop=p_drop,
    )
    layers: list[tuple[str, nn.Module]] = [("encode", encoder)]
    if p_drop_word:
        layers.insert(0, ("words", TokenDropout(p_drop_word)))
    return assemble(*layers, *last_layers(schema, encoder.out_features, p_drop))
