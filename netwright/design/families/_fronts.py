"""What stands before the cells of a network: from an input of each kind to states of one width."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import first_image_layer, first_series_layer
from netwright.design.families._numbers import encoder_of_numbers
from netwright.design.families._steps import EmbedWords
from netwright.design.spaces._operations import resize
from netwright.nn import ConvNorm, ConvNorm1d, TableEncoder

__all__ = ["read_images", "read_rows", "read_series", "read_words"]


def read_images(schema: Schema, width: int) -> nn.Sequential:
    """Make normalisation and one convolution.

    Args:
        schema: of the task; an image input.
        width: channels that come out.
    """
    return nn.Sequential(first_image_layer(schema), ConvNorm(schema.input.shape[0], width))


def read_rows(
    schema: Schema,
    width: int,
    *,
    numbers: str = "piecewise",
    number_width: int = 8,
    category_width: int = 8,
) -> nn.Sequential:
    """Make an encoder of the columns and one layer.

    Args:
        schema: of the task; a table input.
        width: units that come out.
        numbers: encoding of numbers: "standard", "piecewise" or "periodic".
        number_width: numbers that each number becomes; unused by "standard".
        category_width: length of a category's embedding.

    Raises:
        ValueError: if there is no such encoding.
    """
    encoder = TableEncoder(
        schema.input.columns,
        encode_numbers=encoder_of_numbers(numbers, number_width),
        category_width=category_width,
    )
    return nn.Sequential(encoder, resize("row", encoder.out_features, width))


def read_series(schema: Schema, width: int) -> nn.Sequential:
    """Make standardisation, with a channel that says what is present, and one convolution.

    Args:
        schema: of the task; a sequence input.
        width: channels that come out.
    """
    standardise = first_series_layer(schema)
    return nn.Sequential(standardise, ConvNorm1d(standardise.out_features, width, kernel=9))


def read_words(schema: Schema, width: int, *, p_drop: float = 0.0) -> EmbedWords:
    """Make an embedding.

    Args:
        schema: of the task; a text input.
        width: length of a word's vector.
        p_drop: probability that an entry of a word's vector is dropped while training.
    """
    return EmbedWords(len(schema.input.vocabulary) + 2, width, p_drop=p_drop)
