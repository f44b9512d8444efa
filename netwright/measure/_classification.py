"""How often a classifier is right: accuracy, balanced accuracy, F1.

Paper:    Zou, Donner. Construction of confidence limits about effect measures: a general approach.
          Statistics in Medicine 2008 (intervals of a mean of rates, from the interval of each).
Departs:  F1 of one class is 2J / (1 + J) of the Jaccard rate J, a proportion of the rows that are
          or were called this class; its interval is J's, mapped. The classes of a macro F1 share
          their errors, each between two classes at most, so squared half-widths are doubled there.
Notation: tp, fp, fn = true positives, false positives, false negatives of a class.

Every function takes logits and targets and returns a `Measurement`. Outputs that are not finite
make it unresolved rather than raise: a diverged network is a finding.

Averages over classes take their interval from a bootstrap over rows when at least 30 rows are
wrong. With fewer, resampling the same few errors would promise too much (nothing wrong: an interval
of width zero), and the interval is combined from the exact intervals of the classes.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from netwright._intervals import proportion
from netwright.finding import Measurement
from netwright.measure._bootstrap import bootstrap
from netwright.measure._unresolved import trouble, unresolved

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "exact_match",
    "f1",
    "f1_binary",
    "f1_labels",
]

_ENOUGH_ERRORS = 30


def accuracy(
    logits: Float[Tensor, "n classes"], y: Int[Tensor, "n"], *, confidence: float = 0.95
) -> Measurement:
    """Measure the share of rows whose largest logit is the true class.

    Args:
        logits: one row an example; ties go to the first class.
        y: true classes.
        confidence: probability that the interval covers the true rate.

    Raises:
        ValueError: if there are no rows.

    Example:
        >>> accuracy(torch.eye(3), torch.tensor([0, 1, 1])).successes
        2
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    right = int((logits.argmax(1) == y).sum())
    return proportion(right, len(y), confidence=confidence)


def exact_match(
    logits: Float[Tensor, "n labels"], y: Float[Tensor, "n labels"], *, confidence: float = 0.95
) -> Measurement:
    """Measure the share of rows on which every label is right (logit above 0 means yes).

    Args:
        logits: one row an example, one column a label.
        y: 0 or 1 for each label.
        confidence: probability that the interval covers the true rate.

    Raises:
        ValueError: if there are no rows.

    Example:
        >>> logits = torch.tensor([[2.0, -1.0], [1.0, 1.0]])
        >>> exact_match(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).successes
        1
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    right = int(((logits > 0) == (y > 0.5)).all(1).sum())
    return proportion(right, len(y), confidence=confidence, note="rows with every label right")


def balanced_accuracy(
    logits: Float[Tensor, "n classes"], y: Int[Tensor, "n"], *, confidence: float = 0.95
) -> Measurement:
    """Measure the mean over classes of the share of their rows that are right.

    Given how many rows each class has, the classes' rates are independent, and the interval is
    combined from theirs.

    Args:
        logits: one row an example; ties go to the first class.
        y: true classes; a class without rows is left out of the mean.
        confidence: probability that the interval covers the truth.

    Raises:
        ValueError: if there are no rows.

    Example:
        >>> logits = torch.eye(2)[[0, 0, 0, 1]]
        >>> balanced_accuracy(logits, torch.tensor([0, 0, 1, 1])).value
        0.75
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    classes = logits.shape[1]
    rows = torch.bincount(y, minlength=classes)
    right = torch.bincount(y[logits.argmax(1) == y], minlength=classes)
    present = rows > 0
    rates = [
        proportion(k, n, confidence=confidence)
        for k, n in zip(right[present].tolist(), rows[present].tolist(), strict=True)
    ]
    return _mean_of(rates, len(y), shared=1.0, note=_left_out(int((~present).sum())))


def f1(
    logits: Float[Tensor, "n classes"],
    y: Int[Tensor, "n"],
    *,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure F1, averaged over the classes (macro).

    Args:
        logits: one row an example; ties go to the first class.
        y: true classes; a class that neither occurs nor is predicted is left out of the mean.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Raises:
        ValueError: if there are no rows.
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    guess, classes = logits.argmax(1), logits.shape[1]
    cells, kind = torch.unique(y * classes + guess, return_inverse=True)
    of_true = torch.nn.functional.one_hot(cells // classes, classes)
    of_guess = torch.nn.functional.one_hot(cells % classes, classes)
    # A row of features for each (true, predicted) pair that occurs: 2 tp, then tp + fp + tp + fn.
    features = torch.cat([2 * of_true * of_guess, of_true + of_guess], dim=1).double()
    totals = (torch.bincount(kind, minlength=len(cells)).double() @ features).view(2, classes)
    wrong = int((guess != y).sum())
    note = "macro F1" + _left_out(int((totals[1] == 0).sum()), "; ")
    if wrong >= _ENOUGH_ERRORS:
        return bootstrap(
            features, _macro_f1, kind=kind, confidence=confidence, generator=generator, note=note
        )
    return _mean_of(_f1_of_each(totals, confidence), len(y), shared=2.0, note=note)


def f1_binary(
    logits: Float[Tensor, "n 2"], y: Int[Tensor, "n"], *, confidence: float = 0.95
) -> Measurement:
    """Measure F1 of the second of two classes.

    Args:
        logits: one row an example; ties go to the first class.
        y: true classes; 1 is the positive one.
        confidence: probability that the interval covers the truth.

    Raises:
        ValueError: if there are no rows.

    Example:
        >>> logits = torch.eye(2)[[0, 1, 1]]
        >>> round(f1_binary(logits, torch.tensor([0, 0, 1])).value, 3)
        0.667
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    guess, true = logits.argmax(1) == 1, y == 1
    both, either = int((guess & true).sum()), int((guess | true).sum())
    if not either:
        reason = "The positive class neither occurs nor is predicted: F1 is undefined."
        return unresolved(len(y), reason, confidence)
    return _from_jaccard(both, either, len(y), confidence, note="F1 of the second class")


def f1_labels(
    logits: Float[Tensor, "n labels"],
    y: Float[Tensor, "n labels"],
    *,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure F1, averaged over labels (macro); a logit above 0 means yes.

    Args:
        logits: one row an example, one column a label.
        y: 0 or 1 for each label; a label that neither occurs nor is predicted is left out.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Raises:
        ValueError: if there are no rows.
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    guess, true = (logits > 0).double(), (y > 0.5).double()
    features = torch.cat([2 * guess * true, guess + true], dim=1)
    totals = features.sum(0).view(2, -1)
    note = "macro F1 over labels" + _left_out(int((totals[1] == 0).sum()), "; ")
    if int((guess != true).any(1).sum()) >= _ENOUGH_ERRORS:
        return bootstrap(features, _macro_f1, confidence=confidence, generator=generator, note=note)
    # Labels of one row may err together in any way: the ends of the interval are averaged.
    found = _f1_of_each(totals, confidence)
    return _mean_of(found, len(y), shared=float(len(found)), note=note)


def _macro_f1(mean: Tensor) -> Tensor:
    classes = mean.shape[-1] // 2
    return (mean[..., :classes] / mean[..., classes:]).nanmean(-1)  # 0/0: left out


def _f1_of_each(totals: Tensor, confidence: float) -> list[Measurement]:
    twice_both, sum_of_sizes = totals.long().tolist()
    return [
        _from_jaccard(both // 2, total - both // 2, total - both // 2, confidence)
        for both, total in zip(twice_both, sum_of_sizes, strict=True)
        if total
    ]


def _from_jaccard(both: int, either: int, n: int, confidence: float, note: str = "") -> Measurement:
    rate = proportion(both, either, confidence=confidence)
    value, low, high = (2 * j / (1 + j) for j in (rate.value, rate.low, rate.high))
    return Measurement(value, low, high, n, "", rate.method, confidence=confidence, note=note)


def _mean_of(parts: list[Measurement], n: int, *, shared: float, note: str) -> Measurement:
    """Average parts; `shared` scales variances, 1 if independent, at most their number."""
    if not parts:
        return unresolved(n, "No class occurs or is predicted: the mean is undefined.")
    ends = torch.tensor([[p.low, p.value, p.high] for p in parts], dtype=torch.double)
    low, value, high = ends.T
    mean = value.mean().item()
    if shared >= len(parts):
        down, up = (value - low).mean().item(), (high - value).mean().item()
    else:
        down = (shared * ((value - low) ** 2).sum()).sqrt().item() / len(parts)
        up = (shared * ((high - value) ** 2).sum()).sqrt().item() / len(parts)
    return Measurement(
        value=mean,
        low=max(0.0, mean - down),
        high=min(1.0, mean + up),
        n=n,
        method="combined proportions",
        confidence=parts[0].confidence,
        note=note,
    )


def _left_out(classes: int, before: str = "") -> str:
    return f"{before}{classes} classes without rows left out" if classes else ""
