"""A small Transformer encoder (Vaswani et al., NeurIPS 2017)."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.nn import TextTransformer, TokenDropout

__all__ = ["text_transformer"]


def text_transformer(
    schema: Schema,
    *,
    width: int = 64,
    n_heads: int = 4,
    n_blocks: int = 2,
    p_drop_word: float = 0.1,
    p_drop: float = 0.2,
) -> nn.Sequential:
    """Build the encoder and a head.

    Args:
        schema: of the task; a text input.
        width: length of the vectors, a multiple of `n_heads`.
        n_heads: heads of each attention.
        n_blocks: number of blocks.
        p_drop_word: probability that a word is left out while training.
        p_drop: dropout inside the blocks and before the head.

    Returns:
        A sequence: (words,) encode, (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no text.
    """
    require_kind(schema, "text", "text_transformer")
    encoder = TextTransformer(
        len(schema.input.vocabulary) + 2,
        width,
        length=schema.input.shape[0],
        n_heads=n_heads,
        n_blocks=n_blocks,
        p_drop=p_drop,
    )
    layers: list[tuple[str, nn.Module]] = [("encode", encoder)]
    if p_drop_word:
        layers.insert(0, ("words", TokenDropout(p_drop_word)))
    return assemble(*layers, *last_layers(schema, encoder.out_features, p_drop))
