"""Layers: plain modules, made only of operators that export to ONNX.

Which one? Images: `ConvNorm` and `Residual` are the default, `Separable` where every kilobyte
counts, `SqueezeExcitation` buys accuracy for few parameters. Steps in time: `OverSteps` of
`StandardiseSeries` (sensors) or `LogMel` (sound) and blocks such as `series_residual`,
`inception_residual`, `ConvNorm1d`; `SeriesGru` where order decides, `KernelBank` where rows are
few. Tables: `TableEncoder` with `PiecewiseLinear` (robust, needs quantiles) or `Periodic` (smooth
targets), then `BatchEnsembleLinear`. Text: `NgramBag` for little data and for topics,
`TextConvolution` for phrases, `TextGru` where order matters, `TextTransformer` with tens of
thousands of texts.
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
from netwright.nn._kernel_bank import KernelBank, ridge_scores
from netwright.nn._linear_each import LinearEach
from netwright.nn._naive_bayes import NaiveBayesBag, log_count_ratios
from netwright.nn._ngrams import NgramBag, ngram_places
from netwright.nn._periodic import Periodic, Standardise
from netwright.nn._piecewise_linear import PiecewiseLinear
from netwright.nn._scale import Denormalise, Normalise
from netwright.nn._series import OverSteps, SeriesGru, StandardiseSeries
from netwright.nn._series_blocks import (
    Around,
    Inception,
    frame_residual,
    inception_residual,
    series_residual,
)
from netwright.nn._spectrogram import BandDropout, LogMel, mel_bands
from netwright.nn._table import TableEncoder
from netwright.nn._text import TextConvolution, TextGru, embed_words, masked_mean
from netwright.nn._within import flip_within, keep_within, mean_within, within

__all__ = [
    "Around",
    "BandDropout",
    "BatchEnsembleLinear",
    "Calibrated",
    "ColumnLike",
    "ConvNorm",
    "ConvNorm1d",
    "Denormalise",
    "GlobalPool",
    "Inception",
    "KernelBank",
    "LinearEach",
    "LogMel",
    "NaiveBayesBag",
    "NgramBag",
    "Normalise",
    "OverSteps",
    "Periodic",
    "PiecewiseLinear",
    "Residual",
    "SelfAttention",
    "Separable",
    "SeriesGru",
    "SqueezeExcitation",
    "Standardise",
    "StandardiseSeries",
    "StochasticDepth",
    "TableEncoder",
    "TextConvolution",
    "TextGru",
    "TextTransformer",
    "TokenDropout",
    "TransformerBlock",
    "embed_words",
    "flip_within",
    "frame_residual",
    "inception_residual",
    "keep_within",
    "log_count_ratios",
    "masked_mean",
    "mean_log_odds",
    "mean_log_probabilities",
    "mean_within",
    "mel_bands",
    "ngram_places",
    "ridge_scores",
    "series_residual",
    "spread",
    "within",
]
