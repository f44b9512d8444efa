"""Let weights share few values by a hash of their places: nothing but the values is stored.

Paper:    Chen, Wilson, Tyree, Weinberger, Chen. Compressing Neural Networks with the Hashing Trick.
          ICML 2015, arXiv:1504.04788, section 4, equations 4, 7 (signs) and 12 (gradients).
Departs:  values start from the nearest ones to the weights that there are (means over each bucket,
          signs taken into account), so a trained network can be shared too; the hash is SplitMix64.
Notation: values = w, places = h(i, j), signs = xi(i, j), n_values = K.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.compress._weights import constrain, weights

__all__ = ["Hashed", "share_by_hash"]


class Hashed(nn.Module):
    """A constraint: each element is one of few values, with a sign; which, its place decides."""

    places: Tensor
    signs: Tensor

    def __init__(self, weight: Float[Tensor, "*shape"], *, n_values: int, seed: int) -> None:
        """Hash the places of a weight.

        Args:
            weight: as it is now.
            n_values: values that are learned.
            seed: of the hash.
        """
        super().__init__()
        hashes = _hashes(weight.numel(), seed)
        places = (hashes >> np.uint64(1)) % np.uint64(n_values)
        signs = 1.0 - 2.0 * (hashes & np.uint64(1)).astype(np.float64)
        self.n_values = n_values
        # They follow from the seed: no file needs them.
        self.register_buffer(
            "places", torch.from_numpy(places.astype(np.int64)).to(weight.device), persistent=False
        )
        self.register_buffer("signs", torch.from_numpy(signs).to(weight), persistent=False)
        self.shape = weight.shape

    def forward(self, values: Tensor) -> Tensor:
        """Return the weight.

        Args:
            values: what is learned.
        """
        return (values[self.places] * self.signs).reshape(self.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the values that are nearest to a weight; 0 for those that no place has.

        Args:
            weight: what is to be shared.
        """
        totals = weight.new_zeros(self.n_values).index_add(
            0, self.places, weight.reshape(-1) * self.signs
        )
        counts = torch.bincount(self.places, minlength=self.n_values).clamp(min=1)
        return totals / counts


def share_by_hash(
    network: nn.Module, share: float | Mapping[str, float], *, seed: int = 0
) -> dict[str, float]:
    """Let the elements of each weight share few values, chosen by a hash.

    Args:
        network: changed in place; training then moves the values. `settle` makes it plain again.
        share: values to learn, as a share of a weight's elements, in (0, 1], for all or by name.
        seed: of the hash; each weight gets one of its own.

    Returns:
        For each weight, the mean squared error that sharing has brought in.

    Raises:
        ValueError: if a share is outside (0, 1], or the network has no such weight.

    Example:
        >>> small = nn.Linear(10, 10)
        >>> _ = share_by_hash(small, 0.1)
        >>> len(small.weight.abs().unique()) <= 10
        True
    """
    found = weights(network, least_axes=0)
    wanted = weights(network)
    chosen = share if isinstance(share, Mapping) else dict.fromkeys(wanted, share)
    errors = {}
    for number, (name, each) in enumerate(chosen.items()):
        if not 0 < each <= 1:
            raise ValueError(f"`share` is a share of the weights, in (0, 1]; got {each}.")
        if name not in found:
            listed = ", ".join(found)
            raise ValueError(f"The network has no weight `{name}`; it has {listed}.")
        n_values = max(1, round(each * found[name].numel()))
        hashed = Hashed(found[name], n_values=n_values, seed=seed + (number << 32))
        constrain(network, name, hashed)
        after = weights(network, least_axes=0)[name]
        errors[name] = (after - found[name]).square().mean().item()
    return errors


def _hashes(n: int, seed: int) -> np.ndarray:
    # SplitMix64 (Steele, Lea, Flood. Fast splittable pseudorandom number generators. OOPSLA 2014).
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed << 1)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
