"""A recurrent network over words (Cho et al., EMNLP 2014)."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.nn import TextGru, TokenDropout

__all__ = ["text_gru"]


def text_gru(
    schema: Schema,
    *,
    width: int = 64,
    hidden: int = 64,
    p_drop_word: float = 0.1,
    p_drop: float = 0.3,
) -> nn.Sequential:
    """Build the recurrence and a head.

    Args:
        schema: of the task; a text input.
        width: length of a word's vector.
        hidden: length of the state.
        p_drop_word: probability that a word is left out while training.
        p_drop: dropout of word vectors and before the head.

    Returns:
        A sequence: (words,) encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no text.
    """
    require_kind(schema, "text", "text_gru")
    encoder = TextGru(len(schema.input.vocabulary) + 2, width, hidden=hidden, p_drop=p_drop)
    layers: list[tuple[str, nn.Module]] = [("encode", encoder)]
    if p_drop_word:
        layers.insert(0, ("words", TokenDropout(p_drop_word)))
    return assemble(*layers, *last_layers(schema, encoder.out_features, p_drop))
