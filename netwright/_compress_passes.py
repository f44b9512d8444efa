"""The passes of compression: each takes a network and makes a smaller one, or other bytes of it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from netwright._compress_sensitivity import (
    KEEPS,
    RANKS,
    SHARED,
    Sensitivity,
    factored,
    kept_setting,
    rank_setting,
    shared_setting,
)
from netwright._compress_shape import Shaped, fold
from netwright._evaluate import calibrated
from netwright.artefact import to_onnx
from netwright.compress import (
    channel_macs,
    channels,
    factorise,
    kept,
    prune_channels,
    prune_layers,
    settle,
    share_weights,
    taylor,
    to_int8,
    weights,
)
from netwright.data import Task
from netwright.learn import loss_for
from netwright.nn import Calibrated

if TYPE_CHECKING:
    import onnx

__all__ = [
    "AlreadyThere",
    "CannotCut",
    "Made",
    "TooFew",
    "cut_zeros",
    "eight_bits",
    "lower_ranks",
    "share_values",
    "shipped",
    "strengths",
    "thin",
]

_WEIGHED = 512  # training rows by which channels are weighed
_BATCH = 128
_GROUP = 8  # channels that kernels of ONNX Runtime take together: others make them slower


class CannotCut(ValueError):
    """A network cannot be cut so; nothing has been trained."""


class TooFew(CannotCut):
    """So little of a network cannot be had."""


class AlreadyThere(CannotCut):
    """A network is as small as that already; a stronger cut may go on from it."""


@dataclass(frozen=True, eq=False)
class Made:
    """A network as it is shipped.

    Attributes:
        shaped: without temperature.
        network: calibrated, for classes and labels.
        model: the ONNX model.
        layers: for each weight, how many elements are not zero, how many there are, and how many
            different values they have.
    """

    shaped: Shaped
    network: nn.Module
    model: "onnx.ModelProto"
    layers: Mapping[str, tuple[int, int, int]]


def thin(
    shaped: Shaped, task: Task, *, share: float, shy: Callable[[str], bool]
) -> tuple[Shaped, dict[str, str]]:
    """Take whole channels out, those first that matter least for what they cost.

    Args:
        shaped: left as it is.
        task: supplies training rows.
        share: of the multiply-accumulates, that stays.
        shy: whether a weight's channels go only when no others are left.

    Returns:
        The smaller network, to be trained, and why weights have kept all their channels.

    Raises:
        CannotCut: if no channel can go; TooFew if so little cannot be had.
    """
    rows = torch.arange(min(_WEIGHED, len(task.train)))
    batches = [(task.train.take(part), task.train.y[part]) for part in rows.split(_BATCH)]
    network, x = shaped.network, batches[0][0][:2]
    found = channels(network, x)
    if not found.count:
        why = "; ".join(f"`{name}`: {reason}" for name, reason in found.untouched.items())
        raise CannotCut(f"No channel can go: {why or 'there is none'}.")
    importance = taylor(network, found, batches, loss_for(task.schema.target))
    importance = importance / channel_macs(network, x, found).clamp(min=1)
    last = torch.zeros(len(importance), dtype=torch.bool)
    for name, axis in found.made:
        if shy(name):
            places = found.places[name][axis]
            last[places[places >= 0]] = True
    importance[last] += importance.max()
    wide = min(len(alike) for alike in found.sets) >= 2 * _GROUP
    thinned = None
    for multiple in (_GROUP, 1) if wide else (1,):  # whole groups, unless too little can go then
        try:
            thinned = prune_channels(network, x, found, importance, macs=share, multiple=multiple)
            break
        except ValueError as error:
            reason = str(error)
    if thinned is None:
        raise TooFew(reason)
    untouched = {n: f"not thinned: {why}" for n, why in thinned.untouched.items()}
    return replace(shaped, network=thinned.network), untouched


def lower_ranks(shaped: Shaped, shares: Mapping[str, float]) -> Shaped:
    """Replace layers by thinner ones.

    Args:
        shaped: left as it is.
        shares: for the names of layers, the share of parameters that their factors have at most.

    Raises:
        CannotCut: if there is none.
    """
    if not shares:
        raise CannotCut("No layer bears a lower rank.")
    how: dict[str, Any] = {
        name: factored(shaped.network.get_submodule(name), share) for name, share in shares.items()
    }
    network, found = factorise(shaped.network, how)
    ranks = {name: tuple(factors.ranks) for name, factors in found.items()}
    return replace(shaped, network=network, factors={**shaped.factors, **ranks})


def cut_zeros(
    shaped: Shaped, keep: Mapping[str, float], train: Callable[[nn.Module], None]
) -> Shaped:
    """Set the smallest weights of each layer to zero, and train the others.

    Args:
        shaped: left as it is; its norms are joined to their layers.
        keep: for each weight to prune, the share of it that stays.
        train: trains a network in place.
    """
    network = copy.deepcopy(shaped.network)
    prune_layers(network, keep)
    train(network)
    _settle(network)
    return replace(shaped, network=network)


def share_values(
    shaped: Shaped, found: Sensitivity, most: float, train: Callable[[nn.Module], None]
) -> Shaped:
    """Give each weight few values, train those, and write them with two bytes each.

    Args:
        shaped: left as it is; its norms are joined to their layers.
        found: how few values each weight can bear.
        most: drop of the score that each may cost by itself.
        train: trains a network in place.
    """
    network = copy.deepcopy(shaped.network)
    books = {}
    for name, losses in found.losses.items():
        settings = [shared_setting(n) for n in SHARED if shared_setting(n) in losses]
        setting = found.strongest(name, settings, most)
        books[name] = SHARED[0] if setting is None else SHARED[settings.index(setting)]
    every = weights(network, least_axes=0)
    books |= {n: SHARED[0] for n in every if n not in books}  # biases
    share_weights(network, {n: k for n, k in books.items() if every[n].numel() > k})
    train(network)
    _settle(network)
    for parameter in network.parameters():
        short = parameter.data.half().float()
        parameter.data = short if short.isfinite().all() else parameter.data
    return replace(shaped, network=network)


def strengths(
    found: Sensitivity, most: float, *, settings: str
) -> tuple[dict[str, float], dict[str, str]]:
    """Choose how strongly each layer is pressed: as far as it alone costs no more.

    Args:
        found: what each layer alone can bear.
        most: drop of the score that each may cost by itself.
        settings: "zeros" or "ranks".

    Returns:
        For each weight or layer the share that stays, and why the others are left alone.
    """
    shares = KEEPS if settings == "zeros" else RANKS
    name_of = kept_setting if settings == "zeros" else rank_setting
    names, chosen, untouched = [name_of(share) for share in shares], {}, {}
    what = (
        "not pruned: a fifth of it" if settings == "zeros" else "not factorised: the highest rank"
    )
    for name, losses in (found.losses if settings == "zeros" else found.ranks).items():
        if names[0] not in losses:
            untouched[name] = "not pruned: too few weights"
            continue
        setting = found.strongest(name, names, most)
        if setting is None:
            untouched[name] = f"{what} alone costs {100 * losses[names[0]]:.1f} {found.unit}"
        else:
            chosen[name] = shares[names.index(setting)]
    return chosen, untouched


def shipped(shaped: Shaped, task: Task) -> Made:
    """Calibrate a network and write it as ONNX.

    Args:
        shaped: left as it is.
        task: supplies the calibration rows.
    """
    import onnx

    folded = fold(shaped, task.validation.take(range(min(32, len(task.validation)))))
    network = calibrated(folded.network, task)
    sample = task.validation.take(range(min(2, len(task.validation))))
    model = onnx.ModelProto.FromString(to_onnx(network, task.schema, sample=sample))
    return Made(folded, network, model, _layers(folded.network))


def eight_bits(made: Made, feed: Mapping[str, np.ndarray]) -> Made:
    """Let a shipped network compute in whole numbers of eight bits.

    The torch network gets the file's weights; what flows between layers is rounded in the file
    only.

    Args:
        made: left as it is.
        feed: raw rows, by which ranges are chosen.

    Raises:
        ValueError: if it has nothing to quantise.
    """
    from onnx import numpy_helper

    model = to_int8(made.model, [feed])
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    network = copy.deepcopy(made.network)
    parameters = dict(network.named_parameters())
    for node in made.model.graph.node:
        codes = arrays.get(f"{node.output[0]}/weight/codes")
        if codes is None or node.input[1] not in parameters:
            continue
        held = parameters[node.input[1]].data
        transposed = node.op_type == "Gemm" and not any(
            a.name == "transB" and a.i for a in node.attribute
        )
        axis = 1 if transposed else 0
        steps = arrays[f"{node.output[0]}/weight/step"]
        shape = [-1 if k == axis else 1 for k in range(codes.ndim)]
        held.copy_(torch.from_numpy(codes * steps.reshape(shape)).to(held))
    inner = network.network if isinstance(network, Calibrated) else network
    return replace(
        made,
        shaped=replace(made.shaped, network=inner),
        network=network,
        model=model,
        layers=_layers(inner),
    )


def _layers(network: nn.Module) -> dict[str, tuple[int, int, int]]:
    counts = kept(network).layers
    return {n: (*counts[n], len(w.unique())) for n, w in weights(network).items()}


def _settle(network: nn.Module) -> None:
    settle(network)
    for module in network.modules():
        if isinstance(module, nn.RNNBase):  # it keeps a list of its weights, in the old ones' place
            module._init_flat_weights()
