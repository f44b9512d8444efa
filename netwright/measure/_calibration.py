"""Whether probabilities can be taken at their word: expected calibration error and its bins.

Paper:    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017,
          arXiv:1706.04599, equation 3 (bins of equal width). Nguyen, O'Connor. Posterior
          calibration and exploratory analysis for natural language processing models. EMNLP 2015
          (bins of equal mass).
Departs:  an interval is added. The estimate is biased upwards, since noise in a bin counts as error
          whatever its sign, so percentiles of a bootstrap would miss the truth; see `ece`.
Notation: gap = acc(B) - conf(B) of a bin B.

Which one? Bins of equal width are what papers report; bins of equal mass spread the noise evenly.
Confidence is the probability of the predicted class; with several labels it is that of each label.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright.finding import Measurement
from netwright.measure._bootstrap import resampled_means
from netwright.measure._unresolved import trouble, unresolved

__all__ = [
    "Reliability",
    "ece",
    "ece_equal_mass",
    "ece_labels",
    "reliability",
    "reliability_labels",
]

_FEWEST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy, in bins of equal width over [0, 1]; empty bins are left out.

    Attributes:
        edges: lower end of each bin; the bins' width is 1 / `bins`.
        confidence: mean probability in each bin.
        accuracy: share of each bin that came true.
        counts: predictions in each bin.
        bins: how many bins there were, empty ones included.
    """

    edges: tuple[float, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    counts: tuple[int, ...]
    bins: int


def ece(
    logits: Float[Tensor, "n classes"],
    y: Int[Tensor, "n"],
    *,
    bins: int = 15,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the expected calibration error, with bins of equal width.

    Both ends of the interval are conservative. The lower one allows for the whole of the noise in
    the bins (triangle inequality); the upper one uses that the estimate is too high on average.
    What is covered is the error of this binning, which is at most that of finer bins.

    Args:
        logits: one row an example.
        y: true classes.
        bins: how many bins [0, 1] is cut into.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Raises:
        ValueError: if there are no rows, or `bins` is not positive.

    Example:
        >>> logits = torch.tensor([[9.0, 0.0]]).expand(20, 2)  # sure, and half of the time wrong
        >>> y = torch.arange(20) % 2
        >>> seeded = torch.Generator().manual_seed(0)
        >>> round(ece(logits, y, generator=seeded).value, 3)
        0.5
    """
    _check(bins)
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    sure, right = _top(logits, y)
    note = f"{bins} bins of equal width"
    return _error(sure, right, _equal_width(sure, bins), bins, confidence, generator, note)


def ece_equal_mass(
    logits: Float[Tensor, "n classes"],
    y: Int[Tensor, "n"],
    *,
    bins: int = 15,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the expected calibration error, with bins that hold equally many rows.

    The interval is that of `ece`; equal confidences share a bin.

    Args:
        logits: one row an example.
        y: true classes.
        bins: how many bins the rows are cut into.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Raises:
        ValueError: if there are no rows, or `bins` is not positive.
    """
    _check(bins)
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    sure, right = _top(logits, y)
    inner = torch.arange(1, bins, dtype=torch.double, device=sure.device) / bins
    cuts = torch.quantile(sure, inner)
    place = torch.searchsorted(cuts, sure[:, 0].contiguous())[:, None]
    return _error(sure, right, place, bins, confidence, generator, f"{bins} bins of equal mass")


def ece_labels(
    logits: Float[Tensor, "n labels"],
    y: Float[Tensor, "n labels"],
    *,
    bins: int = 15,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the expected calibration error of every label's probability, bins of equal width.

    Args:
        logits: one row an example, one column a label.
        y: 0 or 1 for each label.
        bins: how many bins [0, 1] is cut into.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples (of rows); torch's global one if None.

    Raises:
        ValueError: if there are no rows, or `bins` is not positive.
    """
    _check(bins)
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    sure = logits.double().sigmoid()
    note = f"{bins} bins of equal width, all labels together"
    return _error(
        sure, (y > 0.5).double(), _equal_width(sure, bins), bins, confidence, generator, note
    )


def reliability(
    logits: Float[Tensor, "n classes"], y: Int[Tensor, "n"], *, bins: int = 15
) -> Reliability:
    """Collect confidence and accuracy in bins, for a reliability diagram.

    Args:
        logits: one row an example, finite.
        y: true classes.
        bins: how many bins [0, 1] is cut into.

    Raises:
        ValueError: if there are no rows, an output is not finite, or `bins` is not positive.
    """
    return _reliability(logits, y, bins, _top)


def reliability_labels(
    logits: Float[Tensor, "n labels"], y: Float[Tensor, "n labels"], *, bins: int = 15
) -> Reliability:
    """Collect probability and frequency of all labels in bins, for a reliability diagram.

    Args:
        logits: one row an example, one column a label, finite.
        y: 0 or 1 for each label.
        bins: how many bins [0, 1] is cut into.

    Raises:
        ValueError: if there are no rows, an output is not finite, or `bins` is not positive.
    """
    return _reliability(
        logits, y, bins, lambda scores, truth: (scores.double().sigmoid(), (truth > 0.5).double())
    )


def _reliability(
    logits: Tensor,
    y: Tensor,
    bins: int,
    read: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Reliability:
    _check(bins)
    if reason := trouble(logits, y):
        raise ValueError(f"`logits` cannot be put in bins: {reason}")
    sure, right = (part.flatten() for part in read(logits, y))
    place = _equal_width(sure, bins)
    counts = torch.bincount(place, minlength=bins)
    filled = counts.nonzero()[:, 0]

    def means(values: Tensor) -> tuple[float, ...]:
        total = torch.bincount(place, weights=values, minlength=bins)
        return tuple((total[filled] / counts[filled]).tolist())

    return Reliability(
        edges=tuple((filled / bins).tolist()),
        confidence=means(sure),
        accuracy=means(right),
        counts=tuple(counts[filled].tolist()),
        bins=bins,
    )


def _top(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    top = logits.double().softmax(1).max(1)
    return top.values[:, None], (top.indices == y).double()[:, None]  # (n, 1) each


def _equal_width(sure: Tensor, bins: int) -> Tensor:
    # Bins are open below and closed above, as in the paper: 0.4 of 5 bins is in the second.
    return ((sure * bins).ceil().long() - 1).clamp(0, bins - 1)


def _error(
    sure: Float[Tensor, "n labels"],
    right: Float[Tensor, "n labels"],
    place: Int[Tensor, "n labels"],
    bins: int,
    confidence: float,
    generator: torch.Generator | None,
    note: str,
) -> Measurement:
    n, labels = sure.shape
    if n < _FEWEST_ROWS:
        return unresolved(n, f"{n} rows are too few for a bootstrap interval.", confidence)
    gaps = torch.zeros(n, bins, dtype=torch.double, device=sure.device)
    gaps.scatter_add_(1, place, (right - sure) / labels)  # a row's share of each bin's gap
    used = torch.bincount(place.flatten(), minlength=bins) > 0
    gap = gaps[:, used].mean(0)
    value = gap.abs().sum().item()
    again = resampled_means(gaps[:, used], generator=generator)  # (resamples, bins)
    tail = (1 - confidence) / 2
    noise = torch.quantile((again - gap).abs().sum(1), 1 - tail).item()
    errors = again.abs().sum(1)
    over = (errors.mean() - torch.quantile(errors, tail)).item()
    return Measurement(
        value=value,
        low=max(0.0, value - noise),
        high=min(1.0, value + over),
        n=n,
        method="bootstrap",
        confidence=confidence,
        note=note,
    )


def _check(bins: int) -> None:
    if bins < 1:
        raise ValueError(f"`bins` must be at least 1; got {bins}.")
