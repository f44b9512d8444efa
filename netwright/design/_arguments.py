"""With which arguments each layer was made, read from the layer itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from netwright import nn as layers
from netwright.design.families._cell_graph import Cell, CellStack
from netwright.design.families._macro_layers import SkipStack
from netwright.design.families._steps import (
    EmbedWords,
    MeanOverSteps,
    OverWords,
    StackWithin,
    StepsWithin,
    WordsWithin,
)
from netwright.design.families._tabm import Ensemble
from netwright.design.families._tiny_cells import TinyCell
from netwright.design.spaces._operations import ResidualRow

__all__ = ["Arguments", "Code", "arguments_of"]

Arguments = tuple[list[Any], dict[str, Any]]  # by place, by name


class Code(str):
    """Text that stands in the source as it is."""

    __slots__ = ()


def arguments_of(module: nn.Module) -> Arguments | None:
    """Return the arguments that make a layer like this one; None if its kind is not known.

    Args:
        module: a layer; of containers, `Sequential` is not known here.
    """
    read = _KNOWN.get(type(module))
    return None if read is None else read(module)


def _changed(defaults: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {name: v for name, v in given.items() if name not in defaults or v != defaults[name]}


def _one(pair: Any) -> Any:
    """A pair of equal numbers as one."""
    pair = tuple(pair) if isinstance(pair, tuple | list) else pair
    return pair[0] if isinstance(pair, tuple) and len(set(pair)) == 1 else pair


def _floats(numbers: torch.Tensor) -> list[float]:
    """Return the shortest decimals that are these numbers in their own precision."""
    kind = {torch.float64: np.float64}.get(numbers.dtype, np.float32)
    return [float(str(kind(number))) for number in numbers.detach().flatten().tolist()]


def _convolution(m: Any) -> Arguments:
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
    given = {name: _one(getattr(m, name)) for name in ("stride", "padding", "dilation")}
    given |= {"groups": m.groups, "bias": m.bias is not None}
    return [m.in_channels, m.out_channels, _one(m.kernel_size)], _changed(defaults, **given)


def _linear(m: Any) -> Arguments:
    return [m.in_features, m.out_features], _changed({"bias": True}, bias=m.bias is not None)


def _average(m: Any) -> Arguments:
    defaults = {"stride": _one(m.kernel_size), "padding": 0, "ceil_mode": False}
    defaults |= {"count_include_pad": True}
    given = {name: _one(getattr(m, name)) for name in defaults}
    return [_one(m.kernel_size)], _changed(defaults, **given)


def _maximum(m: Any) -> Arguments:
    defaults = {"stride": _one(m.kernel_size), "padding": 0, "ceil_mode": False}
    return [_one(m.kernel_size)], _changed(defaults, **{n: _one(getattr(m, n)) for n in defaults})


_TORCH: dict[type, Callable[[Any], Arguments]] = {
    nn.AvgPool1d: _average,
    nn.AvgPool2d: _average,
    nn.BatchNorm1d: lambda m: ([m.num_features], {}),
    nn.BatchNorm2d: lambda m: ([m.num_features], {}),
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Dropout: lambda m: ([m.p], {}),
    nn.Flatten: lambda m: ([], {}),
    nn.GELU: lambda m: ([], {}),
    nn.Identity: lambda m: ([], {}),
    nn.Linear: _linear,
    nn.MaxPool1d: _maximum,
    nn.MaxPool2d: _maximum,
    nn.ReLU: lambda m: ([], {}),
}


def _conv_norm(m: Any) -> Arguments:
    conv, activation = m[0], len(m) > 2
    defaults = {"kernel": 3, "stride": 1, "groups": 1, "activation": True}
    given = _changed(
        defaults,
        kernel=_one(conv.kernel_size),
        stride=_one(conv.stride),
        groups=conv.groups,
        activation=activation,
    )
    return [conv.in_channels, conv.out_channels], given


def _conv_norm_1d(m: Any) -> Arguments:
    positional, named = _conv_norm(m)
    return positional, named | _changed({"dilation": 1}, dilation=_one(m[0].dilation))


def _residual(m: Any) -> Arguments:
    conv = m.branch[0][0]
    defaults = {"stride": 1, "squeeze": False, "p_drop": 0.0}
    given = _changed(
        defaults, stride=_one(conv.stride), squeeze=len(m.branch) > 2, p_drop=m.drop.p_drop
    )
    return [conv.in_channels, conv.out_channels], given


def _residual_row(m: Any) -> Arguments:
    first = m.resize if isinstance(m.resize, nn.Linear) else m.first
    return [first.in_features, m.second.out_features], {}


def _separable(m: Any) -> Arguments:
    each, across = m[0][0], m[1][0]
    return [each.in_channels, across.out_channels], _changed(
        {"stride": 1}, stride=_one(each.stride)
    )


def _table(m: Any) -> Arguments:
    named: dict[str, Any] = {"encode_numbers": Code("None")}
    if isinstance(m.numbers, layers.Standardise):
        named["encode_numbers"] = Code("Standardise")
    elif m.numbers is not None:
        width = m.numbers.mix.weight.shape[2]
        named["encode_numbers"] = Code(f"partial({type(m.numbers).__name__}, width={width})")
    if m.embedding is not None:
        named["category_width"] = m.embedding.weight.shape[1]
    return [Code("COLUMNS")], named


def _ensemble(m: Any) -> Arguments:
    linear, n_layers = m.layers[0], len(m.layers) // 3
    named = {"target_kind": m.target_kind, "n_members": m.n_members}
    named |= {"width": linear.weight.shape[0], "depth": n_layers, "p_drop": m.layers[2].p}
    return [linear.weight.shape[1], m.heads.weight.shape[2]], named


def _bag(m: Any) -> Arguments:
    defaults = {"n_buckets": 0, "longest": 1, "power": 1.0, "p_drop": 0.0}
    given = {name: getattr(m, name) for name in defaults}
    return [m.n_words, m.weight.shape[1]], _changed(defaults, **given)


def _naive_bayes(m: Any) -> Arguments:
    named = {"is_class": m.is_class, "n_buckets": m.bag.n_buckets, "longest": m.bag.longest}
    named |= {"smoothing": m.smoothing, "p_drop": m.bag.p_drop}
    return [Code("VOCABULARY"), len(m.bias)], named


def _text_convolution(m: Any) -> Arguments:
    windows = [each[1].kernel_size[0] for each in m.filters]
    named = {"n_filters": m.filters[0][1].out_channels, "windows": windows, "p_drop": m.drop.p}
    return [m.embedding.num_embeddings, m.embedding.embedding_dim], named


def _embed_words(m: Any) -> Arguments:
    sizes = [m.embedding.num_embeddings, m.embedding.embedding_dim]
    return sizes, _changed({"p_drop": 0.0}, p_drop=m.drop.p)


def _gru(m: Any) -> Arguments:
    named = {"hidden": m.recurrence.hidden_size, "p_drop": m.drop.p}
    return [m.embedding.num_embeddings, m.embedding.embedding_dim], named


def _around(m: Any) -> Arguments:
    named = _changed({"stride": 1, "p_drop": 0.0}, stride=m.stride, p_drop=m.drop.p_drop)
    return [list(m.branch), m.shortcut], named


def _inception(m: Any) -> Arguments:
    kernels = [part.kernel_size[0] for part in m.parts]
    return [m.bottleneck.in_channels, m.bottleneck.out_channels], {"kernels": kernels}


def _kernel_bank(m: Any) -> Arguments:
    defaults = {"is_class": True, "centre": (), "scale": ()}
    named = {"dilations": list(m.dilations), "n_biases": m.biases.shape[2]}
    named |= _changed(defaults, **{name: getattr(m, name) for name in defaults})
    return [m.front, m.mix.shape[1], m.head.out_features], named


def _log_mel(m: Any) -> Arguments:
    named = {"rate": m.rate, "window": m.window, "hop": m.hop}
    return _scaled(m)[0], {**named, "n_bands": m.asked_bands, "floor": m.floor}


def _series_gru(m: Any) -> Arguments:
    named = {"hidden": m.forwards.hidden_size, "stride": m.stride, "p_drop": m.drop.p}
    return [m.front, m.stem, m.forwards.input_size], named


def _transformer(m: Any) -> Arguments:
    named = {"length": len(m.positions), "n_heads": m.blocks[0].attention.n_heads}
    named |= {"n_blocks": len(m.blocks), "hidden": m.blocks[0].network[0].out_features}
    named |= {"p_drop": m.drop.p}
    return [m.embedding.num_embeddings, m.embedding.embedding_dim], named


def _scaled(m: Any) -> Arguments:
    return [_floats(m.mean), _floats(m.std)], {}


_OWN: dict[type, Callable[[Any], Arguments]] = {
    Cell: lambda m: ([m.inputs, [tuple(pair) for pair in m.nodes], dict(m.adapt.items())], {}),
    CellStack: lambda m: ([list(m.cells)], {}),
    EmbedWords: _embed_words,
    Ensemble: _ensemble,
    MeanOverSteps: lambda m: ([], {}),
    OverWords: lambda m: ([], {}),
    ResidualRow: _residual_row,
    SkipStack: lambda m: ([list(m.layers), m.skips, dict(m.shrink.items())], {}),
    StackWithin: lambda m: ([m.front, m.ends, m.stack, m.sum_up], {}),
    StepsWithin: lambda m: ([], {}),
    TinyCell: lambda m: ([dict(m.edges.items())], {}),
    WordsWithin: lambda m: ([], {}),
    layers.Around: _around,
    layers.BandDropout: lambda m: ([m.n_mask], {}),
    layers.Calibrated: lambda m: ([m.network], {}),
    layers.ConvNorm: _conv_norm,
    layers.ConvNorm1d: _conv_norm_1d,
    layers.Denormalise: _scaled,
    layers.GlobalPool: lambda m: ([], {}),
    layers.Inception: _inception,
    layers.KernelBank: _kernel_bank,
    layers.LogMel: _log_mel,
    layers.NaiveBayesBag: _naive_bayes,
    layers.NgramBag: _bag,
    layers.Normalise: _scaled,
    layers.OverSteps: lambda m: ([m.front, list(m.layers), list(m.strides)], {}),
    layers.Residual: _residual,
    layers.Separable: _separable,
    layers.SeriesGru: _series_gru,
    layers.StandardiseSeries: _scaled,
    layers.TableEncoder: _table,
    layers.TextConvolution: _text_convolution,
    layers.TextGru: _gru,
    layers.TextTransformer: _transformer,
    layers.TokenDropout: lambda m: ([m.p_drop], {}),
}
_KNOWN = _TORCH | _OWN
