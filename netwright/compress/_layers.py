"""Take whole layers out of a network: blocks, branches, and whatever keeps the shape of its input.

Paper:    Veit, Wilber, Belongie. Residual Networks Behave Like Ensembles of Relatively Shallow
          Networks. NeurIPS 2016, arXiv:1605.06431, section 4.1 (what the error is without single
          residual blocks: `removal_losses`).
          Men et al. ShortGPT: Layers in Large Language Models are More Redundant Than You Expect.
          2024, arXiv:2403.03853, equation 1 (`block_influence`).
Departs:  any module that returns what has the shape of its first argument counts as a layer, and
          both ways of doing without it are tried: its input passes on (a block), or nothing comes
          of it (a branch that is added). What matters least for the multiply-accumulates that it
          saves goes first, and the rest is looked at again after each removal.
Notation: influence = BI.
"""

import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from netwright.measure import macs as count_macs
from netwright.measure import parameters

__all__ = [
    "Layer",
    "Nothing",
    "Passed",
    "Shallower",
    "block_influence",
    "prune_depth",
    "removable_layers",
    "removal_losses",
    "remove_layers",
]

Way = Literal["pass", "nothing"]
_WAYS: tuple[Way, ...] = ("pass", "nothing")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, and a way to do without it.

    Attributes:
        path: name of the module.
        way: "pass" lets its input pass on; "nothing" puts zeros in place of its output.
        macs: multiply-accumulates of one example that are saved.
        parameters: numbers that are saved; those shared with other layers do not count.
    """

    path: str
    way: Way
    macs: float
    parameters: int


@dataclass(frozen=True, slots=True)
class Shallower:
    """A network that has lost layers.

    Attributes:
        network: the smaller network; modules keep their names.
        removed: the layers, in the order in which they went.
        macs: multiply-accumulates of one example, before and after.
        parameters: numbers that are learned, before and after.
    """

    network: nn.Module
    removed: tuple[Layer, ...]
    macs: tuple[float, float]
    parameters: tuple[int, int]


class Passed(nn.Module):
    """Stands where a layer was, and returns its first argument."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the first argument.

        Args:
            x: what the layer received.
            args: what else it received.
            kwargs: what else it received.
        """
        return x


class Nothing(nn.Module):
    """Stands where a branch was, and returns zeros."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return zeros of the first argument's shape.

        Args:
            x: what the layer received.
            args: what else it received.
            kwargs: what else it received.
        """
        return torch.zeros_like(x)


@torch.no_grad()
def removable_layers(network: nn.Module, x: Num[Tensor, "batch *input"]) -> tuple[Layer, ...]:
    """List the layers without which the network still runs, whatever it then computes.

    Those are the modules that hold weights (parameters of two axes or more), run once, and return
    one tensor of the shape and type of their first argument; blocks as well as the layers inside.

    Args:
        network: run in eval mode; left as it is.
        x: one input or more, of which two at most are used.

    Returns:
        Each layer twice: passed over, and giving nothing.

    Raises:
        ValueError: if `x` has no rows.

    Cost: two forward passes.

    Example:
        >>> three = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 1))
        >>> [(layer.path, layer.way) for layer in removable_layers(three, torch.zeros(1, 2))]
        [('1', 'pass'), ('1', 'nothing')]
    """
    if not len(x):
        raise ValueError("`x` must hold at least one row; got none.")
    runs: dict[str, list[bool]] = {}

    def note(path: str, given: Any, output: Any) -> None:
        fits = isinstance(given, Tensor) and isinstance(output, Tensor)
        same = fits and (given.shape, given.dtype) == (output.shape, output.dtype)
        runs.setdefault(path, []).append(same)

    with _watched(network, (path for path, _ in network.named_modules() if path), note):
        network(x[:2])
    costs = count_macs(network, x[:1]).rows
    found = []
    for path, module in network.named_modules():
        if runs.get(path) == [True] and any(w.ndim > 1 for w in module.parameters()):
            saved = float(sum(row.macs for row in costs if _inside(row.path, path)))
            own = {id(p) for n, p in network.named_parameters() if _inside(n, path)}
            own -= {
                id(p)
                for n, p in network.named_parameters(remove_duplicate=False)
                if not _inside(n, path)
            }
            fewer = sum(p.numel() for p in network.parameters() if id(p) in own)
            found += [Layer(path, way, saved, fewer) for way in _WAYS]
    return tuple(found)


@torch.no_grad()
def removal_losses(
    network: nn.Module,
    layers: Sequence[Layer],
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, "layers"]:
    """Return what the loss rises by when each layer alone is missing.

    Args:
        network: in any mode; it is run in eval mode, and left as it is.
        layers: of it.
        batches: inputs and targets, of validation rows rather than those it has learned.
        loss: from outputs and targets to a mean over the batch.

    Returns:
        Differences of mean losses; below zero where the network is better off without.

    Raises:
        ValueError: if there is no batch.

    Cost: a forward pass over all batches for each layer, and one more.
    """
    rows = tuple(batches)
    if not rows:
        raise ValueError("`batches` must hold at least one batch; got none.")

    def mean(judged: nn.Module) -> float:
        judged = copy.deepcopy(judged).eval()
        n = sum(len(x) for x, _ in rows)
        return sum(loss(judged(x), y).item() * len(x) for x, y in rows) / n

    whole = mean(network)
    return torch.tensor([mean(_without(network, [layer])) - whole for layer in layers])


@torch.no_grad()
def block_influence(
    network: nn.Module, layers: Sequence[Layer], x: Num[Tensor, "batch *input"]
) -> Float[Tensor, "layers"]:
    """Return how far each layer turns what passes through it; no labels are needed.

    Args:
        network: in any mode; it is run in eval mode, and left as it is.
        layers: of it.
        x: inputs.

    Returns:
        One minus the mean cosine between what a layer receives and returns, over the vectors of the
        channels (axis 1 of images, the last axis of anything else); infinite for layers that are to
        give nothing, of which it says nothing.

    Cost: one forward pass.
    """
    turned: dict[str, float] = {}

    def note(path: str, given: Tensor, output: Tensor) -> None:
        axis = 1 if given.ndim == 4 else -1
        turned[path] = 1 - torch.cosine_similarity(given, output, dim=axis).mean().item()

    with _watched(network, {layer.path for layer in layers}, note):
        network(x)
    return torch.tensor(
        [turned[layer.path] if layer.way == "pass" else torch.inf for layer in layers]
    )


def remove_layers(
    network: nn.Module, x: Num[Tensor, "batch *input"], layers: Sequence[Layer]
) -> Shallower:
    """Make a network without some layers.

    Args:
        network: left as it is.
        x: one input or more, to count multiply-accumulates.
        layers: of `removable_layers(network, x)`; none inside another.

    Raises:
        ValueError: if the network has no such layer, or one lies inside another.
    """
    modules = dict(network.named_modules())
    for layer in layers:
        if layer.path not in modules or not layer.path:
            listed = ", ".join(sorted({each.path for each in removable_layers(network, x)}))
            raise ValueError(
                f"The network has no layer `{layer.path}`; what can be removed is {listed}."
            )
        inside = [each.path for each in layers if _inside(each.path, layer.path)]
        if inside != [layer.path]:
            raise ValueError(f"`layers` names `{layer.path}` and, again, what is inside: {inside}.")
    smaller = _without(network, layers)
    before, after = (count_macs(each, x[:1]).macs_per_example for each in (network, smaller))
    counts = (parameters(network), parameters(smaller))
    return Shallower(smaller, tuple(layers), (before, after), counts)


def prune_depth(
    network: nn.Module,
    x: Num[Tensor, "batch *input"],
    weigh: Callable[[nn.Module, Sequence[Layer]], Float[Tensor, "layers"]],
    *,
    macs: float,
    keep: Collection[str] = (),
) -> Shallower:
    """Remove layers one by one until a network costs a share of what it did.

    Args:
        network: left as it is; train the smaller one afterwards.
        x: one input or more, to find layers and count multiply-accumulates.
        weigh: importance of each layer of what is left: `partial(removal_losses, batches=...,
            loss=...)` or `partial(block_influence, x=x)`.
        macs: share of the multiply-accumulates that may stay, in (0, 1).
        keep: names of modules that have to stay, and all that is inside of them.

    Raises:
        ValueError: if `macs` makes no sense, or so few multiply-accumulates cannot be had.

    Cost: what `weigh` costs, and three forward passes, for each layer that goes.

    Example:
        >>> from functools import partial
        >>> four = nn.Sequential(*(nn.Linear(3, 3) for _ in range(4)))
        >>> rows = torch.ones(1, 3)
        >>> prune_depth(four, rows, partial(block_influence, x=rows), macs=0.5).macs
        (36.0, 18.0)
    """
    if not 0 < macs < 1:
        raise ValueError(f"`macs` is the share that may stay, in (0, 1); got {macs}.")
    before = count_macs(network, x[:1]).macs_per_example
    removed: list[Layer] = []
    while True:
        smaller = _without(network, removed)
        left = count_macs(smaller, x[:1]).macs_per_example / before
        if left <= macs:
            return remove_layers(network, x, removed)
        layers = [
            layer
            for layer in removable_layers(smaller, x)
            if layer.macs > 0 and not any(_inside(layer.path, path) for path in keep)
        ]
        if not layers:
            raise ValueError(
                f"`macs` of {macs} cannot be had: without "
                f"{', '.join(each.path for each in removed) or 'any layer'}, {left:.3f} of them "
                f"stay, and nothing else can go."
            )
        importance = weigh(smaller, layers).tolist()
        # What harms goes first, the more it costs the sooner; then what matters least for its cost.
        worth = [
            i / each.macs if i > 0 else i * each.macs
            for i, each in zip(importance, layers, strict=True)
        ]
        gone = layers[min(range(len(layers)), key=worth.__getitem__)]
        removed = [each for each in removed if not _inside(each.path, gone.path)] + [gone]


def _inside(path: str, outer: str) -> bool:
    return path == outer or path.startswith(f"{outer}.")


def _without(network: nn.Module, layers: Iterable[Layer]) -> nn.Module:
    network = copy.deepcopy(network)
    for layer in layers:
        path, _, attribute = layer.path.rpartition(".")
        new = Passed() if layer.way == "pass" else Nothing()
        setattr(network.get_submodule(path), attribute, new.train(network.training))
    return network


@contextmanager
def _watched(
    network: nn.Module, paths: Iterable[str], note: Callable[[str, Any, Any], None]
) -> Iterator[None]:
    # In eval mode; `note` gets the first argument and the output of every call of those modules.
    def hook(path: str) -> Callable[..., None]:
        return lambda module, given, output: note(path, given[0] if given else None, output)

    modules = dict(network.named_modules())
    modes = [(module, module.training) for module in network.modules()]
    handles = [modules[path].register_forward_hook(hook(path)) for path in paths]
    try:
        network.eval()
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
