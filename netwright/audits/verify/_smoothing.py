"""Certify answers inside l2 balls by a vote over noisy copies: any classifier, any size.

Paper:    Cohen, Rosenfeld, Kolter. Certified Adversarial Robustness via Randomized Smoothing.
          ICML 2019, arXiv:1902.02918. Figure 1 (PREDICT and CERTIFY), Theorem 1; the bound is that
          of Clopper and Pearson (Biometrika 1934).
Departs:  many inputs share each forward pass.
Notation: classify = f, noise_std = sigma, n_select = n_0, n_estimate = n, p_low = p_A's lower
          bound, 1 - confidence = alpha.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Certificates", "certify_smoothed", "predict_smoothed"]

ABSTAINED = -1


@dataclass(frozen=True, eq=False)
class Certificates:
    """What was certified for each input.

    Attributes:
        label: the certified class; -1 where the vote was too close to call.
        radius: Euclidean distance, in units of the input, within which the vote stays so; 0 without
            a label.
        p_low: lower confidence bound on the probability of a vote for the top class.
        confidence: probability, over the noise, that the radius of an input is sound.
    """

    label: Int[Tensor, "batch"]
    radius: Float[Tensor, "batch"]
    p_low: Float[Tensor, "batch"]
    confidence: float

    def certified(self, y: Int[Tensor, "batch"], radius: float) -> int:
        """Count the inputs that are right and certified to stay right.

        Args:
            y: true classes.
            radius: within which the class must hold, in units of the input.
        """
        return int(((self.label == y) & (self.radius >= radius)).sum())


def certify_smoothed(
    classify: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    *,
    noise_std: float,
    confidence: float = 0.999,
    n_select: int = 100,
    n_estimate: int = 10_000,
    batch_size: int = 1000,
    generator: torch.Generator | None = None,
) -> Certificates:
    """Certify the class that most noisy copies of each input get.

    What is certified is the vote, not `classify` itself: only an answer given by `predict_smoothed`
    carries the promise. Each input's radius is sound with probability `confidence`; that all of
    many are sound together is less likely.

    Args:
        classify: maps a batch of inputs to class numbers; it should have been trained on noise.
        x: inputs; noisy copies leave the valid range, as they did in training.
        noise_std: standard deviation of the noise, in units of `x`.
        confidence: probability, over the noise, that a radius is sound, in (0, 1).
        n_select: copies by which the top class is guessed.
        n_estimate: fresh copies by which its probability is bounded.
        batch_size: copies that are classified together.
        generator: source of all noise, on the device of `x`; torch's global one if None.

    Returns:
        Labels, radii and bounds. Too close a vote is an outcome, not an error.

    Raises:
        ValueError: if `noise_std` or a count is not positive, or `confidence` is not in (0, 1).

    Cost: `n_select + n_estimate` forward passes for each input.

    Example:
        >>> up = lambda x: (x.sum(dim=1) > 0).long()
        >>> seeded = torch.Generator().manual_seed(0)
        >>> found = certify_smoothed(up, torch.ones(1, 2), noise_std=0.5, generator=seeded)
        >>> found.label.item(), round(found.radius.item(), 2)  # the boundary lies at distance 1.41
        (1, 1.28)
    """
    counts = {"n_select": n_select, "n_estimate": n_estimate, "batch_size": batch_size}
    _check(noise_std, confidence, counts)
    votes = _Votes(classify, noise_std, batch_size, generator)
    top = votes.labels(x, n_select).mode(dim=0).values
    hits = votes.hits(x, top, n_estimate)
    p_low = _lower_bound(hits, n_estimate, confidence).to(x.dtype)
    clear = p_low > 0.5  # else the runner-up may be as likely
    radius = noise_std * torch.special.ndtri(p_low.double()).to(x.dtype)
    return Certificates(
        label=torch.where(clear, top, ABSTAINED),
        radius=torch.where(clear, radius, 0.0),
        p_low=p_low,
        confidence=confidence,
    )


def predict_smoothed(
    classify: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *input"],
    *,
    noise_std: float,
    confidence: float = 0.999,
    n: int = 1000,
    batch_size: int = 1000,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch"]:
    """Answer by the vote of noisy copies; -1 where the two leading classes are too close.

    Args:
        classify: maps a batch of inputs to class numbers.
        x: inputs.
        noise_std: standard deviation of the noise, in units of `x`.
        confidence: probability that an answer is the class which infinitely many copies would name.
        n: copies that vote on each input.
        batch_size: copies that are classified together.
        generator: source of all noise, on the device of `x`; torch's global one if None.

    Raises:
        ValueError: if `noise_std` or a count is not positive, or `confidence` is not in (0, 1).

    Cost: `n` forward passes for each input.
    """
    from scipy.stats import binom

    _check(noise_std, confidence, {"n": n, "batch_size": batch_size})
    labels = _Votes(classify, noise_std, batch_size, generator).labels(x, n)
    if not len(x):
        return labels.new_zeros(0)
    width = max(2, int(labels.max()) + 1)
    counts = torch.stack([(labels == label).sum(dim=0) for label in range(width)], dim=1)
    best = counts.topk(2, dim=1)
    first, second = best.values[:, 0].cpu().numpy(), best.values[:, 1].cpu().numpy()
    # The chance that a fair coin favours one side so much, either side.
    chance = 2 * binom.sf(first - 1, first + second, 0.5)
    clear = torch.as_tensor(chance <= 1 - confidence, device=x.device)
    return torch.where(clear, best.indices[:, 0], ABSTAINED)


def _check(noise_std: float, confidence: float, counts: dict[str, int]) -> None:
    if not noise_std > 0:
        raise ValueError(f"`noise_std` must be positive, in units of `x`; got {noise_std}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` is a probability between 0 and 1; got {confidence}.")
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"`{name}` must be at least 1; got {count}.")


def _lower_bound(hits: Tensor, n: int, confidence: float) -> Tensor:
    # Clopper and Pearson: the p at which so many hits or more have probability alpha.
    from scipy.special import betaincinv

    seen = hits.double().cpu().numpy()
    low = betaincinv(seen.clip(min=1), n - seen + 1, 1 - confidence)
    return torch.where(hits > 0, torch.as_tensor(low, device=hits.device), 0.0)


class _Votes:
    # What the classifier says of noisy copies.
    def __init__(
        self,
        classify: Callable[[Tensor], Tensor],
        noise_std: float,
        batch_size: int,
        generator: torch.Generator | None,
    ) -> None:
        self.classify, self.noise_std = classify, noise_std
        self.batch_size, self.generator = batch_size, generator

    @torch.no_grad()
    def labels(self, x: Tensor, n: int) -> Tensor:
        # All votes, (n, batch).
        shape, many = x.shape[1:], n * len(x)
        said = torch.empty(many, dtype=torch.long, device=x.device)
        owner = torch.arange(len(x), device=x.device).repeat(n)
        kind = {"dtype": x.dtype, "device": x.device, "generator": self.generator}
        for first in range(0, many, self.batch_size):
            own = owner[first : first + self.batch_size]
            noise = torch.randn((len(own), *shape), **kind)
            said[first : first + len(own)] = self.classify(x[own] + self.noise_std * noise)
        return said.view(n, len(x))

    def hits(self, x: Tensor, top: Tensor, n: int) -> Tensor:
        # Votes for the given classes, without keeping them all.
        found, left = torch.zeros_like(top), n
        most = max(1, 10_000_000 // max(1, len(x)))
        while left:
            drawn = min(left, most)
            found += (self.labels(x, drawn) == top).sum(dim=0)
            left -= drawn
        return found
