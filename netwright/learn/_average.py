"""An exponential moving average of a network's weights.

Paper:    Polyak, Juditsky. Acceleration of stochastic approximation by averaging. SIAM J. Control
          Optim. 30(4), 1992; the exponential form and its warm-up as in Szegedy et al., CVPR 2016,
          arXiv:1512.00567, section 8, and TensorFlow's ExponentialMovingAverage.
Departs:  floating-point buffers (BatchNorm's running mean and variance) are averaged with the same
          decay, so that they fit the averaged weights; whole-number buffers are copied.
Notation: decay = the share kept each step.
"""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["WeightAverage"]


class WeightAverage:
    """Moving average of the floating-point parameters and buffers of a network.

    Attributes:
        tensors: the averages, by the names of the network's `state_dict`.
        updates: how many times `update` was called.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start the average at the network's present weights.

        Args:
            network: what is averaged.
            decay: share of the average that is kept at each update, in (0, 1).

        Raises:
            ValueError: if `decay` is outside (0, 1).
        """
        if not 0.0 < decay < 1.0:
            raise ValueError(f"`average` must be a decay in (0, 1), or 0 for none; got {decay}.")
        self._decay = decay
        self.updates = 0
        live = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
        self.tensors = {name: tensor.clone() for name, tensor in live.items()}
        self._live = list(live.values())

    def __repr__(self) -> str:
        return f"WeightAverage(decay={self._decay}, updates={self.updates})"

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network's present weights.

        Early on the decay is (1 + updates) / (10 + updates), so that the start is forgotten.
        """
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        get_ema_multi_avg_fn(decay)(list(self.tensors.values()), self._live, None)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the network, and the live ones back afterwards."""
        saved = [tensor.clone() for tensor in self._live]
        _copy(self.tensors.values(), self._live)
        try:
            yield
        finally:
            _copy(saved, self._live)


@torch.no_grad()
def _copy(sources: Iterable[Tensor], places: Iterable[Tensor]) -> None:
    for source, place in zip(sources, places, strict=True):
        place.copy_(source)
