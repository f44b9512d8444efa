"""How much probability a classifier gives to the truth."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from netwright.finding import Measurement
from netwright.measure._bootstrap import bootstrap
from netwright.measure._unresolved import trouble, unresolved

__all__ = ["log_loss", "log_loss_labels"]


def log_loss(
    logits: Float[Tensor, "n classes"],
    y: Int[Tensor, "n"],
    *,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the mean negative log probability of the true class, in nats.

    Args:
        logits: one row an example.
        y: true classes.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Raises:
        ValueError: if there are no rows.

    Example:
        >>> found = log_loss(torch.zeros(20, 2), torch.zeros(20, dtype=torch.int64))
        >>> round(found.value, 4)  # log 2
        0.6931
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence, "nats")
    losses = F.cross_entropy(logits.double(), y, reduction="none")
    return _mean(losses, confidence, generator, "")


def log_loss_labels(
    logits: Float[Tensor, "n labels"],
    y: Float[Tensor, "n labels"],
    *,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the mean negative log probability of a true label, over rows and labels, in nats.

    Args:
        logits: one row an example, one column a label.
        y: 0 or 1 for each label.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples (of rows); torch's global one if None.

    Raises:
        ValueError: if there are no rows.
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence, "nats")
    losses = F.binary_cross_entropy_with_logits(logits.double(), y.double(), reduction="none")
    return _mean(losses.mean(1), confidence, generator, "mean over labels")


def _mean(
    losses: Float[Tensor, "n"], confidence: float, generator: torch.Generator | None, note: str
) -> Measurement:
    return bootstrap(
        losses[:, None],
        lambda mean: mean[..., 0],
        confidence=confidence,
        generator=generator,
        unit="nats",
        note=note,
    )
