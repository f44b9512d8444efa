"""How often a classifier is right.

Every function takes logits and targets and returns a `Measurement`. Outputs that are not finite
make a measurement unresolved, never an exception: a diverged candidate is a finding.
"""

from jaxtyping import Float, Int
from torch import Tensor

from netwright.finding import Measurement
from netwright.measure._intervals import proportion
from netwright.measure._unresolved import trouble, unresolved

__all__ = ["accuracy", "exact_match"]


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
        >>> import torch
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
    """
    if reason := trouble(logits, y):
        return unresolved(len(y), reason, confidence)
    right = int(((logits > 0) == (y > 0.5)).all(1).sum())
    return proportion(right, len(y), confidence=confidence, note="rows with every label right")
