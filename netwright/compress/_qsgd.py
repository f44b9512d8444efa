"""Train with gradients of few levels, rounded at random so that their mean is right.

Paper:    Alistarh, Grubic, Li, Tomioka, Vojnovic. QSGD: Communication-Efficient SGD via Gradient
          Quantization and Encoding. NeurIPS 2017, arXiv:1610.02132, section 3.1 (equation 4, lemma
          3.1: unbiased, bounds of variance and of what is not zero).
Departs:  one bucket for each tensor; codes are not Elias coded, since nothing is sent.
Notation: n_levels = s, norm = the length of v, codes = sgn(v) s xi.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["Levels", "qsgd", "qsgd_gradients"]


@dataclass(frozen=True, slots=True)
class Levels:
    """A tensor as a length and whole numbers.

    Attributes:
        norm: Euclidean length of the tensor.
        codes: from minus to plus `n_levels`.
        n_levels: levels above zero.
    """

    norm: Float[Tensor, ""]
    codes: Int[Tensor, "*shape"]
    n_levels: int

    @property
    def values(self) -> Tensor:
        """The numbers that the codes stand for."""
        return self.codes.to(self.norm.dtype) * (self.norm / self.n_levels)


def qsgd(
    x: Float[Tensor, "*shape"], *, n_levels: int, generator: torch.Generator | None = None
) -> Levels:
    """Round a tensor to few levels of its length, up or down at random.

    The expectation of `values` is `x`. For n numbers, their expected squared distance is at most
    min(n / s^2, sqrt(n) / s) times the squared length, and at most s * (s + sqrt(n)) are expected
    not to be zero.

    Args:
        x: such as a gradient.
        n_levels: s, at least 1.
        generator: of the choices.

    Raises:
        ValueError: if `n_levels` is below 1.

    Example:
        >>> qsgd(torch.tensor([3.0, -4.0, 0.0]), n_levels=5).codes.tolist()
        [3, -4, 0]
    """
    if n_levels < 1:
        raise ValueError(f"`n_levels` must be at least 1; got {n_levels}.")
    norm = x.norm()
    scaled = x.abs() * (n_levels / norm.clamp(min=torch.finfo(x.dtype).tiny))
    chance = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    codes = (scaled + chance).floor().clamp(max=n_levels) * x.sign()
    return Levels(norm, codes.to(torch.int32), n_levels)


@contextmanager
def qsgd_gradients(
    network: nn.Module, *, n_levels: int, generator: torch.Generator | None = None
) -> Iterator[None]:
    """Let the optimiser see gradients of few levels, each parameter's by itself.

    Args:
        network: whose parameters learn inside the block, by any training loop.
        n_levels: above zero, at least 1.
        generator: of the choices.

    Raises:
        ValueError: if `n_levels` is below 1.
    """
    if n_levels < 1:
        raise ValueError(f"`n_levels` must be at least 1; got {n_levels}.")

    def hook(gradient: Tensor) -> Tensor:
        return qsgd(gradient, n_levels=n_levels, generator=generator).values

    handles = [p.register_hook(hook) for p in network.parameters() if p.requires_grad]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
