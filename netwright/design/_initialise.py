"""Give a fresh network what can be counted in the training split before any step is taken."""

from typing import Protocol, runtime_checkable

from torch import nn

from netwright.data._task import Split

__all__ = ["Initialisable", "initialise"]


@runtime_checkable
class Initialisable(Protocol):
    """A layer that can be set from the training split."""

    def initialise(self, split: Split) -> None:  # honest: a protocol
        """Set weights or buffers from rows and targets, drawing nothing at random."""
        ...


def initialise(network: nn.Module, split: Split) -> None:
    """Let every layer that can be set from data look at the training split once.

    Deterministic; call it after `build_network` and before training. A network without such layers
    is left as it is, and every network also works without this call.

    Args:
        network: fresh from `build_network`; changed in place.
        split: the training split, never another.
    """
    for module in network.modules():
        if isinstance(module, Initialisable):
            module.initialise(split)
