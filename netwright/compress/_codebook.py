"""Let many weights share few values, which go on learning: a code book for each layer.

Paper:    Han, Mao, Dally. Deep Compression: Compressing Deep Neural Networks with Pruning, Trained
          Quantization and Huffman Coding. ICLR 2016, arXiv:1510.00149. Section 3: k-means on a
          layer's weights (equation 2), linear initialisation (3.2), gradients of shared values
          summed over their weights (equation 3).
Departs:  clusters that lose all weights keep their value; what was pruned is no cluster.
Notation: n_shared = k, values = C (centroids), codes = I.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from netwright.compress._weights import constrain, constraint, weights

__all__ = ["CodeBook", "Shared", "codebook", "share_weights"]

_ROUNDS = 100  # of k-means, at most


@dataclass(frozen=True, slots=True)
class CodeBook:
    """Shared values, and which of them each weight has.

    Attributes:
        values: increasing, in units of the weights.
        codes: places in `values`, as many as there were weights.
        error: mean squared distance between the weights and their values.
    """

    values: Float[Tensor, "shared"]
    codes: Int[Tensor, "n"]
    error: float


def codebook(flat: Float[Tensor, "n"], *, n_shared: int) -> CodeBook:
    """Cluster numbers by k-means in one dimension.

    The first centres stand at equal distances from the smallest to the largest number, so that the
    few large weights, which matter most, are well met.

    Args:
        flat: the numbers.
        n_shared: clusters, at least 1; fewer result where there are fewer different numbers.

    Raises:
        ValueError: if `n_shared` is below 1, or a number is not finite.

    Cost: n log n once, then n for each round, at most 100.

    Example:
        >>> found = codebook(torch.tensor([0.0, 0.1, 1.0, 1.1]), n_shared=2)
        >>> found.codes.tolist(), round(found.error, 4)
        ([0, 0, 1, 1], 0.0025)
    """
    if n_shared < 1:
        raise ValueError(f"`n_shared` must be at least 1; got {n_shared}.")
    if not flat.isfinite().all():
        raise ValueError("`flat` holds numbers that are not finite; they have no mean.")
    if not len(flat):
        return CodeBook(flat.clone(), flat.to(torch.int64), 0.0)
    different = flat.unique()
    if len(different) <= n_shared:
        return CodeBook(different, torch.searchsorted(different, flat), 0.0)
    ordered = flat.double().sort().values  # sums over many weights
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    low, high = ordered[0].item(), ordered[-1].item()
    centres = torch.linspace(low, high, n_shared, dtype=torch.float64, device=flat.device)
    edges = None
    for _ in range(_ROUNDS):
        cuts = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        new = torch.cat([cuts.new_zeros(1), cuts, cuts.new_tensor([len(ordered)])])
        if edges is not None and torch.equal(new, edges):
            break
        edges = new
        sizes = edges[1:] - edges[:-1]
        means = (sums[edges[1:]] - sums[edges[:-1]]) / sizes.clamp(min=1)
        centres = torch.where(sizes > 0, means, centres)
    values = centres.to(flat.dtype).unique()
    codes = torch.searchsorted((values[1:] + values[:-1]) / 2, flat)
    return CodeBook(values, codes, (flat - values[codes]).square().mean().item())


class Shared(nn.Module):
    """A constraint: weights take few values, which are what is learned; pruned ones stay zero."""

    codes: Tensor
    places: Tensor

    def __init__(self, weight: Tensor, *, n_shared: int) -> None:
        """Cluster the elements of a weight that are not zero.

        Args:
            weight: as it is now.
            n_shared: different values, zero not counted.
        """
        super().__init__()
        self.shape = weight.shape
        flat = weight.detach().reshape(-1)
        places = flat.nonzero()[:, 0]
        book = codebook(flat[places], n_shared=n_shared)
        self.register_buffer("places", places)
        self.register_buffer("codes", book.codes)
        self._start = book.values

    def forward(self, values: Tensor) -> Tensor:
        """Return the weight.

        Args:
            values: the shared values, which are learned.
        """
        chosen = _Chosen.apply(values, self.codes)
        flat = values.new_zeros(self.shape.numel())
        return flat.index_copy(0, self.places, chosen).reshape(self.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the values that learning starts from.

        Args:
            weight: as it is now.
        """
        return self._start.to(weight)


class _Chosen(torch.autograd.Function):
    """`values[codes]`; the gradient of a value is the sum over its weights (equation 3)."""

    @staticmethod
    def forward(ctx, values: Tensor, codes: Tensor) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.n = len(values)
        return values[codes]

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.new_zeros(ctx.n).index_add(0, codes, gradient), None


def share_weights(
    network: nn.Module, n_shared: int | Mapping[str, int], *, least_axes: int = 2
) -> dict[str, float]:
    """Give each layer a code book; training then moves the shared values.

    Args:
        network: changed in place; `settle` makes it plain again. Zeros stay zero.
        n_shared: different values that are not zero, for all weights or by name; 2^bits for codes
            of so many bits.
        least_axes: without names, parameters with fewer axes are left alone.

    Returns:
        For each weight, the mean squared error that sharing has brought in.

    Raises:
        ValueError: if the network has no such weight, or `n_shared` is below 1.
    """
    found = weights(network, least_axes=0)
    wanted = weights(network, least_axes=least_axes)
    chosen = n_shared if isinstance(n_shared, Mapping) else dict.fromkeys(wanted, n_shared)
    errors = {}
    for name, n in chosen.items():
        constraint(network, name)  # refuses names that are unknown
        constrain(network, name, Shared(found[name], n_shared=n))
        after = weights(network, least_axes=0)[name]
        errors[name] = (after - found[name]).square().mean().item()
    return errors
