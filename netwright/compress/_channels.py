"""Find which channels of a network can only be removed together.

One forward pass is watched operator by operator, and each channel is followed from the filters that
make it to the weights that read it: through sums, concatenations, normalisations, convolutions of
single channels, reshapes and whatever acts on numbers one by one. What an operator that cannot be
followed reaches has to stay, and is named.

Paper:    Fang, Ma, Song, Mi, Wang. DepGraph: Towards Any Structural Pruning. CVPR 2023,
          arXiv:2301.12900, section 3.2 (groups of coupled parameters).
Departs:  groups are of single channels, not of layers, and are found by watching operators, not
          modules; layer normalisation, which mixes channels, is not followed.
Notation: a channel = a group g of coupled slices of parameters.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Num
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from netwright.compress._channel_nodes import Nodes, Slot
from netwright.compress._channel_rules import follow

__all__ = ["Channels", "channels"]


@dataclass(frozen=True, slots=True)
class Channels:
    """The removable channels of a network, numbered from 0.

    Attributes:
        places: for each parameter or buffer, for each of its axes, the channel that each index
            belongs to; -1 where it has to stay.
        sets: channels that play the same part in the same layers, together; each is in one set.
        made: axes of weights that make channels: those of filters.
        used: axes of weights that read channels.
        untouched: for each weight whose filters all have to stay, why.
    """

    places: Mapping[str, tuple[Int[Tensor, "_"], ...]]
    sets: tuple[tuple[int, ...], ...]
    made: frozenset[Slot]
    used: frozenset[Slot]
    untouched: Mapping[str, str]

    @property
    def count(self) -> int:
        """How many channels there are."""
        return sum(len(each) for each in self.sets)


@torch.no_grad()
def channels(network: nn.Module, x: Num[Tensor, "batch *input"]) -> Channels:
    """Follow the channels of a network from layer to layer; nothing is changed.

    Args:
        network: any module that takes one tensor; it is run once, in eval mode, on the CPU.
        x: one input or more, of which the first is used; values matter only where they steer the
            computation.

    Raises:
        ValueError: if `x` has no rows.

    Example:
        >>> two = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> found = channels(two, torch.ones(1, 3))
        >>> found.sets, dict(found.untouched)
        (((0, 1),), {'2.weight': 'they are the outputs of the network'})
    """
    if not len(x):
        raise ValueError("`x` must hold at least one row; got none.")
    nodes = Nodes(network)
    watch = _Watch(network, nodes)
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        with watch.paths(), watch:
            outputs = network(x[:1])
    finally:
        for module, mode in modes:
            module.training = mode
    leaves = [tensor for tensor in tree_leaves(outputs) if isinstance(tensor, Tensor)]
    nodes.fix_all(leaves, "they are the outputs of the network")
    return _found(nodes)


class _Watch(TorchDispatchMode):
    """Sees every operator that reaches the backend."""

    def __init__(self, network: nn.Module, nodes: Nodes) -> None:
        super().__init__()
        self._paths = {module: path for path, module in network.named_modules()}
        self._nodes = nodes
        self._stack = [""]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        nodes, name = self._nodes, func.overloadpacket.__name__
        if name == "t" and nodes.turn(result, args[0]):
            return result
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if any(nodes.knows(t) for t in given):
            if not follow(nodes, func, args, kwargs, result):
                place = f" in `{self._stack[-1]}`" if self._stack[-1] else ""
                nodes.fix_all(given, f"they reach `{name}`{place}, which is not followed")
        return result

    @contextmanager
    def paths(self) -> Iterator[None]:
        """Keep the stack of running modules."""
        handles = []
        try:
            for module in self._paths:
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leave))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._stack.append(self._paths[module])

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._stack.pop()


def _found(nodes: Nodes) -> Channels:
    # Channels are the parts that hang together, hold a filter, and hold nothing that has to stay.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ties = torch.cat([torch.empty(2, 0, dtype=torch.int64), *nodes.ties], dim=1).numpy()
    graph = coo_array((np.ones(ties.shape[1]), (ties[0], ties[1])), shape=(nodes.count,) * 2)
    _, parts = connected_components(graph, directed=False)
    reasons: dict[int, str] = {}
    for fixed, reason in nodes.fixed:
        for part in np.unique(parts[fixed.numpy()]).tolist():
            reasons.setdefault(part, reason)
    made = np.unique([part for slot in nodes.made for part in parts[nodes.of(*slot).numpy()]])
    free = [int(part) for part in made if int(part) not in reasons]
    numbers = np.full(nodes.count + 1, -1)
    numbers[free] = np.arange(len(free))
    places = {
        name: tuple(
            torch.from_numpy(numbers[parts[nodes.of(name, axis).numpy()]])
            for axis in range(tensor.ndim)
        )
        for name, tensor in nodes.tensors.items()
    }
    untouched = {
        name: reasons[int(parts[nodes.of(name, axis)[0]])]
        for name, axis in sorted(nodes.made)
        if bool((places[name][axis] < 0).all())
    }
    sets = _alike(places, len(free))
    return Channels(places, sets, frozenset(nodes.made), frozenset(nodes.used), untouched)


def _alike(places: Mapping[str, tuple[Tensor, ...]], count: int) -> tuple[tuple[int, ...], ...]:
    parts: list[list[tuple[str, int, int]]] = [[] for _ in range(count)]
    for name, axes in places.items():
        for axis, numbers in enumerate(axes):
            found, times = numbers[numbers >= 0].unique(return_counts=True)
            for channel, n in zip(found.tolist(), times.tolist(), strict=True):
                parts[channel].append((name, axis, n))
    sets: dict[tuple[tuple[str, int, int], ...], list[int]] = {}
    for channel, part in enumerate(parts):
        sets.setdefault(tuple(part), []).append(channel)
    return tuple(tuple(each) for each in sets.values())
