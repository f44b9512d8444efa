"""How well scores rank: area under the ROC curve.

Paper:    DeLong, DeLong, Clarke-Pearson. Comparing the Areas under Two or More Correlated Receiver
          Operating Characteristic Curves: A Nonparametric Approach. Biometrics 1988. By midranks as
          in Sun and Xu, IEEE Signal Processing Letters 2014, equations 8 to 10.
          Newcombe. Confidence intervals for an effect size measure based on the Mann-Whitney
          statistic. Part 2. Statistics in Medicine 2006, method 5.
Departs:  the DeLong interval is taken on the logit scale, which keeps it in [0, 1]; for several
          classes the structural components are summed row by row before their variance is taken.
          Near perfect ranking a sample's variance says too little, so each end is the farther one
          of DeLong's and Newcombe's interval; for several curves Newcombe's are combined with their
          squared half-widths doubled, since an error lies between two classes.
Notation: theta = area, placements = structural components V10 and V01.
"""

import math
from statistics import NormalDist

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from netwright.finding import Measurement
from netwright.measure._unresolved import trouble, unresolved

__all__ = ["auroc", "auroc_labels"]


def auroc(
    logits: Float[Tensor, "n classes"], y: Int[Tensor, "n"], *, confidence: float = 0.95
) -> Measurement:
    """Measure the area under the ROC curve; beyond two classes, each against the rest (macro).

    Args:
        logits: one row an example; ranked by the probability of each class.
        y: true classes.
        confidence: probability that the interval covers the truth.

    Returns:
        The measurement; unresolved if some class has no rows, or all.

    Raises:
        ValueError: if there are no rows.

    Cost: a sort a class.

    Example:
        >>> logits = torch.tensor([[0.0, -1.0], [0.0, 2.0], [0.0, 1.0], [0.0, 3.0]])
        >>> auroc(logits, torch.tensor([0, 0, 1, 1])).value
        0.75
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    classes = logits.shape[1]
    if classes == 2:
        margin = (logits[:, 1].double() - logits[:, 0].double())[:, None]
        return _areas(margin, (y == 1)[:, None], confidence, "positive: the second class")
    scores = logits.double().log_softmax(1)
    truth = y[:, None] == torch.arange(classes, device=y.device)
    return _areas(scores, truth, confidence, "macro, each class against the rest")


def auroc_labels(
    logits: Float[Tensor, "n labels"], y: Float[Tensor, "n labels"], *, confidence: float = 0.95
) -> Measurement:
    """Measure the area under the ROC curve, averaged over labels (macro).

    Args:
        logits: one row an example, one column a label.
        y: 0 or 1 for each label.
        confidence: probability that the interval covers the truth.

    Returns:
        The measurement; unresolved if some label is on no row, or on all.

    Raises:
        ValueError: if there are no rows.
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    return _areas(logits.double(), y > 0.5, confidence, "macro over labels")


def _areas(
    scores: Float[Tensor, "n curves"], truth: Bool[Tensor, "n curves"], confidence: float, note: str
) -> Measurement:
    n, curves = scores.shape
    positives = truth.sum(0).double()
    negatives = n - positives
    empty = int(((positives == 0) | (negatives == 0)).sum())
    if empty:
        reason = (
            f"For {empty} of {curves} curves these rows are all positive or all negative: "
            f"the area is undefined."
        )
        return unresolved(n, reason, confidence)
    placements = torch.stack(
        [_placements(scores[:, k], truth[:, k]) for k in range(curves)], dim=1
    )  # (n, curves)
    theta = (placements * truth).sum(0) / positives
    side = torch.where(truth, positives, negatives)
    pulls = (placements - theta) / (side * (side - 1).clamp_min(1)).sqrt()
    std = (pulls.mean(1) ** 2).sum().sqrt()
    value = theta.mean()
    z = NormalDist().inv_cdf((1 + confidence) / 2)

    low, high = _newcombe(theta, positives, negatives, z)
    share = 1.0 if curves == 1 else math.sqrt(2.0) / curves  # errors lie between two classes
    low = value - share * (theta - low).norm()
    high = value + share * (high - theta).norm()
    if 0 < value < 1 and std > 0:
        half = z * std / (value * (1 - value))
        low = torch.minimum(low, (value.logit() - half).sigmoid())
        high = torch.maximum(high, (value.logit() + half).sigmoid())
    return Measurement(
        value=value.item(),
        low=max(0.0, low.item()),
        high=min(1.0, high.item()),
        n=n,
        method="delong",
        confidence=confidence,
        note=note,
    )


def _placements(scores: Float[Tensor, "n"], truth: Bool[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Share of the other side that a positive outranks, or that outranks a negative."""
    overall = _midranks(scores)
    within = torch.empty_like(overall)
    within[truth] = _midranks(scores[truth])
    within[~truth] = _midranks(scores[~truth])
    beaten = overall - within
    return torch.where(truth, beaten / (~truth).sum(), 1 - beaten / truth.sum())


def _midranks(values: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    _, place, ties = torch.unique(values, return_inverse=True, return_counts=True)
    return (ties.cumsum(0) - (ties - 1) / 2).double()[place]


def _newcombe(
    theta: Float[Tensor, "curves"],
    positives: Float[Tensor, "curves"],
    negatives: Float[Tensor, "curves"],
    z: float,
) -> tuple[Float[Tensor, "curves"], Float[Tensor, "curves"]]:
    """Solve |theta - t| = z * std(t) for t below and above theta, by bisection."""
    area, m, n = (part.cpu().numpy() for part in (theta, positives, negatives))

    def inside(t: np.ndarray) -> np.ndarray:
        shape = 1 + ((m + n) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return (area - t) ** 2 <= z**2 * t * (1 - t) * shape / (m * n)

    near, far = np.stack([area, area]), np.stack([np.zeros_like(area), np.ones_like(area)])
    for _ in range(50):  # to 1e-15
        middle = (near + far) / 2
        yes = inside(middle)
        near, far = np.where(yes, middle, near), np.where(yes, far, middle)
    low, high = torch.from_numpy((near + far) / 2).to(theta.device)
    return low, high
