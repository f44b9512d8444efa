"""Bags of n-grams: linear in them, or through a hidden layer."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, last_layers, require_kind
from netwright.nn import NgramBag

__all__ = ["text_bag"]


def text_bag(
    schema: Schema,
    *,
    width: int = 32,
    longest: int = 2,
    n_buckets: int = 1 << 14,
    hidden: int = 0,
    p_drop_ngram: float = 0.3,
    p_drop: float = 0.3,
) -> nn.Sequential:
    """Build the bag and a head.

    Args:
        schema: of the task; a text input.
        width: length of an n-gram's vector.
        longest: tokens in the longest n-gram, 1 to 6.
        n_buckets: rows that runs of tokens share by hashing.
        hidden: units of a layer between bag and head; 0 for none.
        p_drop_ngram: probability that an n-gram is left out while training.
        p_drop: dropout before the head.

    Returns:
        A sequence: bag, (hidden,) (drop,) head(, denormalise).

    Raises:
        ValueError: if the input is no text.
    """
    require_kind(schema, "text", "text_bag")
    n_words = len(schema.input.vocabulary) + 2
    bag = NgramBag(
        n_words, width, n_buckets=n_buckets, longest=longest, power=0.5, p_drop=p_drop_ngram
    )
    layers: list[tuple[str, nn.Module]] = [("bag", bag)]
    if hidden:
        layers.append(("hidden", nn.Sequential(nn.Linear(width, hidden), nn.ReLU())))
    return assemble(*layers, *last_layers(schema, hidden or width, p_drop))
