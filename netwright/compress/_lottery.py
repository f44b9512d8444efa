"""Find a small network that could have been trained alone: prune, and rewind what is left.

Paper:    Frankle, Carbin. The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks.
          ICLR 2019, arXiv:1803.03635, section 1 (iterative pruning with resetting).
          Frankle, Dziugaite, Roy, Carbin. Linear Mode Connectivity and the Lottery Ticket
          Hypothesis. ICML 2020, arXiv:1912.05671, algorithm 2 (rewinding to an early step).
Departs:  nothing.
Notation: start = theta_0, or W_k for rewinding; steps = one for each round.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netwright.compress._magnitude import Kept
from netwright.compress._weights import constraint, plain_state, weights

__all__ = ["find_ticket", "rewind"]


@torch.no_grad()
def rewind(network: nn.Module, start: Mapping[str, Tensor]) -> None:
    """Set what is left of a network back to earlier values; what is pruned stays pruned.

    Args:
        network: changed in place.
        start: an earlier `plain_state` of it, cloned before it was trained.

    Raises:
        ValueError: if `start` is of another network.
    """
    now = plain_state(network)
    if {n: t.shape for n, t in start.items()} != {n: t.shape for n, t in now.items()}:
        raise ValueError("`start` must be a `plain_state` of this network; names or shapes differ.")
    buffers = dict(network.named_buffers())
    found = weights(network, least_axes=0)
    for name, tensor in start.items():
        if name in buffers:
            buffers[name].copy_(tensor)
        elif name in found and constraint(network, name) is not None:
            path, _, attribute = name.rpartition(".")
            module: Any = network.get_submodule(path)
            module.parametrizations[attribute].original.copy_(tensor)
        else:
            network.get_parameter(name).copy_(tensor)


def find_ticket(
    network: nn.Module,
    steps: Sequence[Callable[[nn.Module], Kept]],
    train: Callable[[nn.Module], object],
    *,
    start: Mapping[str, Tensor] | None = None,
) -> tuple[Kept, ...]:
    """Train, prune and rewind, round after round.

    Args:
        network: changed in place, untrained (or as far as `start`); in the end it is the ticket:
            pruned, and as it was at the start, ready to be trained.
        steps: one for each round; each prunes further, for example `partial(prune_global,
            keep=0.8)`.
        train: trains the network in place, from the start to the end.
        start: what is rewound to, cloned from `plain_state`; the network as it is now if None.

    Returns:
        What was left after each round.

    Raises:
        ValueError: if `start` is of another network.
    """
    if start is None:
        start = {name: tensor.clone() for name, tensor in plain_state(network).items()}
    rewind(network, start)
    history = []
    for step in steps:
        train(network)
        history.append(step(network))
        rewind(network, start)
    return tuple(history)
