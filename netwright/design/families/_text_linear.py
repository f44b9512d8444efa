"""Linear models of words and n-grams that start as naive-Bayes classifiers."""

from torch import nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, require_kind, scale_back
from netwright.nn import NaiveBayesBag

__all__ = ["text_linear"]


def text_linear(
    schema: Schema,
    *,
    longest: int = 1,
    n_buckets: int = 1 << 16,
    smoothing: float = 1.0,
    p_drop: float = 0.7,
) -> nn.Sequential:
    """Build the model; `design.initialise` sets its weights by counting.

    Args:
        schema: of the task; a text input.
        longest: tokens in the longest n-gram, 1 to 6.
        n_buckets: weights that runs of tokens share by hashing; unused for tokens alone.
        smoothing: added to every count, positive.
        p_drop: probability that an n-gram is left out while training.

    Returns:
        A sequence: bag(, denormalise).

    Raises:
        ValueError: if the input is no text.
    """
    require_kind(schema, "text", "text_linear")
    bag = NaiveBayesBag(
        schema.input.vocabulary,
        schema.target.width,
        is_class=schema.target.kind in ("class", "labels"),
        n_buckets=n_buckets,
        longest=longest,
        smoothing=smoothing,
        p_drop=p_drop,
    )
    return assemble(("bag", bag), *scale_back(schema))
