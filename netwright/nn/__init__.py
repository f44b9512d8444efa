"""Layers: plain modules, made only of operators that export to ONNX.

Which one? Images: `ConvNorm` and `Residual` are the default, `Separable` where every kilobyte
counts, `SqueezeExcitation` buys accuracy for few parameters. Steps in time: `ConvNorm1d`. Tables:
`TableEncoder` with `PiecewiseLinear` (robust, needs quantiles) or `Periodic` (smooth targets), then
`BatchEnsembleLinear`. Text: `NgramBag` for little data and for topics, `TextConvolution` for
phrases, `TextGru` where order matters, `TextTransformer` with tens of thousands of texts.
"""

from netwright.nn._attention import SelfAttention, TextTransformer, TransformerBlock
from netwright.nn._batch_ensemble import (
    BatchEnsembleLinear,
    mean_log_odds,
    mean_log_probabilities,
    spread,
)
from netwright.nn._calibrated import Calibrated
from netwright.nn._columns import ColumnLike
from netwright.nn._convolution import (
    ConvNorm,
    GlobalPool,
    Residual,
    Separable,
    SqueezeExcitation,
)
from netwright.nn._convolution1d import ConvNorm1d
from netwright.nn._drop import StochasticDepth, TokenDropout
from netwright.nn._linear_each import LinearEach
from netwright.nn._naive_bayes import NaiveBayesBag, log_count_ratios
from netwright.nn._ngrams import NgramBag, ngram_places
from netwright.nn._periodic import Periodic, Standardise
from netwright.nn._piecewise_linear import PiecewiseLinear
from netwright.nn._scale import Denormalise, Normalise
from netwright.nn._table import TableEncoder
from netwright.nn._text import TextConvolution, TextGru, embed_words, masked_mean

__all__ = [
    "BatchEnsembleLinear",
    "Calibrated",
    "ColumnLike",
    "ConvNorm",
    "ConvNorm1d",
    "Denormalise",
    "GlobalPool",
    "LinearEach",
    "NaiveBayesBag",
    "NgramBag",
    "Normalise",
    "Periodic",
    "PiecewiseLinear",
    "Residual",
    "SelfAttention",
    "Separable",
    "SqueezeExcitation",
    "Standardise",
    "StochasticDepth",
    "TableEncoder",
    "TextConvolution",
    "TextGru",
    "TextTransformer",
    "TokenDropout",
    "TransformerBlock",
    "embed_words",
    "log_count_ratios",
    "masked_mean",
    "mean_log_odds",
    "mean_log_probabilities",
    "ngram_places",
    "spread",
]
