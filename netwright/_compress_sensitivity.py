"""What each layer alone can bear: zeros, few values, fewer channels, a lower rank."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from netwright.compress import (
    Channels,
    by_parameters,
    channel_split,
    channels,
    factorise,
    filter_norms,
    prune_layers,
    remove_channels,
    settle,
    share_weights,
    svd,
    tucker,
    weights,
)
from netwright.data import Task
from netwright.finding import Table
from netwright.learn import score_for
from netwright.nn import SelfAttention

__all__ = [
    "CHANNELS",
    "KEEPS",
    "RANKS",
    "SHARED",
    "Sensitivity",
    "channels_setting",
    "factored",
    "kept_setting",
    "rank_setting",
    "sensitivity",
    "shared_setting",
]

KEEPS = (0.8, 0.6, 0.4, 0.3, 0.2, 0.13, 0.08, 0.05, 0.03)  # shares of a weight that stay
SHARED = (32, 16, 8, 4)  # different values
CHANNELS = (0.75, 0.5, 0.25)  # shares of a layer's channels that stay
RANKS = (0.7, 0.5, 0.35, 0.25)  # shares of a layer's parameters that its factors have
_ROWS = 2000  # of the validation split, on which layers are tried
_FEWEST = 64  # weights; smaller tensors are not pruned
_FEWEST_FACTORED = 256  # weights; of smaller layers two are no gain


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What each layer alone can bear, before any training.

    Attributes:
        losses: for each weight and each setting of pruning and sharing ("keep 0.25", "4 values"),
            the drop of the validation score; for values as a share of the untouched network's
            error.
        channels: the same for each weight that makes channels, by the share of them that stays.
        ranks: the same for each layer, by the share of its parameters that its factors have.
        whole: for weights and layers that can lose no channel, or cannot be factorised, why.
        score: of the untouched network.
        sizes: for each weight, how many elements it has.
        unit: of a hundredth of a loss.
    """

    losses: Mapping[str, Mapping[str, float]]
    score: float
    sizes: Mapping[str, int] = field(default_factory=dict)
    channels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ranks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    unit: str = "points"

    def strongest(self, name: str, settings: Sequence[str], most: float) -> str | None:
        """Return the last setting up to which a weight costs no more; None if there is none.

        Args:
            name: of the weight, or of the layer where the settings are ranks.
            settings: ever stronger.
            most: drop of the score.
        """
        found = None
        losses = {**self.losses.get(name, {}), **self.ranks.get(name, {})}
        for setting in settings:
            if losses.get(setting, float("inf")) > most:
                break
            found = setting
        return found

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of it, for people: pruning, sharing, channels, ranks; empty ones are left out."""
        lost = f"{self.unit} lost by one layer alone, before training"
        named = (
            ("Pruned", "weight", self.losses, [kept_setting(k) for k in KEEPS]),
            ("Shared", "weight", self.losses, [shared_setting(n) for n in SHARED]),
            ("Fewer channels", "made by", self.channels, [channels_setting(k) for k in CHANNELS]),
            ("Lower rank", "layer", self.ranks, [rank_setting(k) for k in RANKS]),
        )
        return tuple(
            _table(f"{title}: {lost}", first, losses, settings)
            for title, first, losses, settings in named
            if losses
        )


def sensitivity(network: nn.Module, task: Task, *, shapes: bool = False) -> Sensitivity:
    """Try every setting on every layer alone.

    Args:
        network: left as it is.
        task: supplies validation rows.
        shapes: whether channels and ranks are tried too.

    Cost: layers times settings times a pass over at most 2,000 rows.
    """
    places = torch.arange(min(_ROWS, len(task.validation)))
    x, y = task.validation.take(places), task.validation.y[places]
    measure = score_for(task.schema.target)

    @torch.no_grad()
    def score(changed: nn.Module) -> float:
        return measure(torch.cat([changed(part) for part in x.split(500)]), y)

    whole = score(network)
    # A score of classes is a share already; an error has the target's unit.
    is_share = task.schema.target.kind in ("class", "labels")
    scale = 1.0 if is_share else max(abs(whole), 1e-12)
    unit = "points" if is_share else "% of the error"

    def lost(changed: nn.Module) -> float:
        return (whole - score(changed)) / scale

    losses: dict[str, dict[str, float]] = {}
    sizes = {name: weight.numel() for name, weight in weights(network).items()}
    for name, weight in weights(network).items():
        found: dict[str, float] = {}
        if weight.numel() >= _FEWEST:
            for share in KEEPS:
                trial = copy.deepcopy(network)
                prune_layers(trial, {name: share})
                settle(trial)
                found[kept_setting(share)] = lost(trial)
        for n in SHARED:
            if weight.numel() > n:
                trial = copy.deepcopy(network)
                share_weights(trial, {name: n})
                settle(trial)
                found[shared_setting(n)] = lost(trial)
        losses[name] = found
    if not shapes:
        return Sensitivity(losses, whole, sizes, unit=unit)
    reasons: dict[str, str] = {}
    thinner = _thinner(network, x[:2], lost, reasons)
    lower = _lower(network, lost, reasons)
    return Sensitivity(losses, whole, sizes, thinner, lower, reasons, unit)


def factored(layer: nn.Module, share: float) -> Callable[..., object] | None:
    """Return what makes factors of a layer with a share of its parameters; None if nothing does.

    Linear layers and convolutions of single pixels are cut in two, other convolutions in three, as
    long as the factors have no more than the share.

    Args:
        layer: linear, or a convolution.
        share: in (0, 1).
    """
    if type(layer) is nn.Linear:
        return partial(svd, rank=by_parameters(share))
    if type(layer) is not nn.Conv2d or layer.groups != 1:
        return None
    if layer.kernel_size == (1, 1):
        return partial(channel_split, rank=by_parameters(share))
    out, into, pixels = layer.out_channels, layer.in_channels, layer.weight[0, 0].numel()
    best = (1, 1)
    for step in range(1, 41):
        ranks = max(1, out * step // 40), max(1, into * step // 40)
        if into * ranks[1] + ranks[0] * ranks[1] * pixels + ranks[0] * out > share * (
            out * into * pixels
        ):
            break
        best = ranks
    return partial(tucker, ranks=best)


def kept_setting(share: float) -> str:
    """Name a share of weights that stays.

    Args:
        share: in (0, 1].
    """
    return f"keep {share:g}"


def shared_setting(n: int) -> str:
    """Name a number of different values.

    Args:
        n: of values.
    """
    return f"{n} values"


def channels_setting(share: float) -> str:
    """Name a share of a layer's channels that stays.

    Args:
        share: in (0, 1).
    """
    return f"{100 * share:g} % of channels"


def rank_setting(share: float) -> str:
    """Name a share of a layer's parameters that its factors have.

    Args:
        share: in (0, 1).
    """
    return f"{100 * share:g} % of parameters"


def _thinner(
    network: nn.Module, x: Tensor, lost: Callable[[nn.Module], float], reasons: dict[str, str]
) -> dict[str, dict[str, float]]:
    found = channels(network, x)
    reasons |= {name: f"keeps its channels: {why}" for name, why in found.untouched.items()}
    importance = filter_norms(network, found) if found.count else torch.zeros(0)
    losses: dict[str, dict[str, float]] = {}
    for names, alike in _makers(found):
        order = sorted(alike, key=lambda channel: float(importance[channel]))
        here: dict[str, float] = {}
        for share in CHANNELS:
            gone = order[: len(order) - max(1, round(share * len(order)))]
            try:
                thinned = remove_channels(network, x, found, gone).network
                here[channels_setting(share)] = lost(thinned)
            except ValueError as error:
                reasons[names[0]] = f"keeps its channels: {error}"
                break
        else:
            losses[", ".join(names)] = here
    return losses


def _makers(found: Channels) -> Iterator[tuple[list[str], list[int]]]:
    # For channels alike, the weights of which each makes one; those come first that run first.
    for alike in found.sets:
        held = torch.tensor(alike)
        names = [
            name
            for name, axis in sorted(found.made)
            if found.places[name][axis].ndim and torch.isin(found.places[name][axis], held).any()
            and found.places[name][axis].numel() and name.endswith("weight")
        ]  # fmt: skip
        if names and len(alike) > 1:
            yield names, list(alike)


def _lower(
    network: nn.Module, lost: Callable[[nn.Module], float], reasons: dict[str, str]
) -> dict[str, dict[str, float]]:
    losses: dict[str, dict[str, float]] = {}
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        parent = network.get_submodule(name.rpartition(".")[0])
        if isinstance(parent, SelfAttention):
            reasons[name] = "not factorised: its attention counts its rows"
        elif layer.weight.numel() < _FEWEST_FACTORED:
            reasons[name] = f"not factorised: fewer than {_FEWEST_FACTORED} weights"
        elif factored(layer, 0.5) is None:
            reasons[name] = "not factorised: its channels are convolved in groups"
        else:
            here: dict[str, float] = {}
            try:
                for share in RANKS:
                    smaller, _ = factorise(network, {name: factored(layer, share)})  # type: ignore[dict-item]
                    here[rank_setting(share)] = lost(smaller)
            except (AttributeError, TypeError) as error:  # what is around it takes it for one layer
                reasons[name] = f"not factorised: {error}"
                continue
            losses[name] = here
    return losses


def _table(
    title: str, first: str, losses: Mapping[str, Mapping[str, float]], settings: Sequence[str]
) -> Table:
    rows = tuple(
        (name, *(round(100 * found[s], 2) if s in found else None for s in settings))
        for name, found in losses.items()
    )
    return Table(title, (first, *settings), rows)
