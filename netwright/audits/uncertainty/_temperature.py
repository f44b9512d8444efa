"""Fit the temperature that makes a classifier's probabilities fit held-out rows best.

Paper:    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017,
          arXiv:1706.04599. Section 4.2, temperature scaling: minimise the negative log likelihood
          over T on a validation set.
Departs:  found by bisection, since the derivative by 1 / T never falls; one pseudo-row whose class
          is uniform is added, so that T stays above 0 when every row is classified rightly (Platt's
          remedy, 1999, for sigmoids); T is held between 1/20 and 20.
Notation: temperature = T, inverse = 1 / T, logits = z.
"""

import math
from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["fit_temperature", "fit_temperature_labels"]

_MOST = 20.0
_N_HALVINGS = 50  # of log 400: to 1e-14


def fit_temperature(logits: Float[Tensor, "n classes"], y: Int[Tensor, "n"]) -> float:
    """Find the temperature by which logits are to be divided.

    Dividing by it changes no predicted class. `netwright.nn.Calibrated` applies it.

    Args:
        logits: of rows that the network was not trained on.
        y: their true classes.

    Returns:
        The temperature, between 0.05 and 20: above 1 for an overconfident network; 20 also where
        the logits say nothing of the truth. 1.0 if all logits of every row are equal.

    Raises:
        ValueError: if there are no rows or a logit is not finite.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[9.0, 0.0]]).expand(100, 2)  # sure, and right on 3 of 4 rows
        >>> y = (torch.arange(100) % 4 == 0).long()
        >>> temperature = fit_temperature(logits, y)
        >>> round((logits / temperature).softmax(1)[0, 0].item(), 2)
        0.75
    """
    _check(logits)
    z = logits.double()
    z = z - z.mean(1, keepdim=True)  # a shift of a row's logits changes nothing
    of_true = z.gather(1, y[:, None])[:, 0]

    def slope(inverse: float) -> float:
        expected = ((inverse * z).softmax(1) * z).sum(1)
        return ((expected - of_true).sum() + expected.mean()).item()

    return _solve(slope, flat=not z.any())


def fit_temperature_labels(
    logits: Float[Tensor, "n labels"], y: Float[Tensor, "n labels"]
) -> float:
    """Find the temperature by which the logits of several labels at once are to be divided.

    Args:
        logits: of rows that the network was not trained on.
        y: 0 or 1 for each label.

    Returns:
        As `fit_temperature`; the probability of each label is the sigmoid of its logit.

    Raises:
        ValueError: if there are no rows or a logit is not finite.
    """
    _check(logits)
    z = logits.double()
    true = y.double()

    def slope(inverse: float) -> float:
        said = (inverse * z).sigmoid()
        return ((z * (said - true)).sum() + (z * (said - 0.5)).sum() / len(z)).item()

    return _solve(slope, flat=not z.any())


def _check(logits: Tensor) -> None:
    if not len(logits):
        raise ValueError("`logits` must have at least one row; got none.")
    if not logits.isfinite().all():
        raise ValueError("`logits` must be finite; got values that are not.")


def _solve(slope: Callable[[float], float], flat: bool) -> float:
    if flat:
        return 1.0
    low, high = -math.log(_MOST), math.log(_MOST)  # of log(1 / T)
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        if slope(math.exp(middle)) < 0:  # more confidence still raises the likelihood
            low = middle
        else:
            high = middle
    return math.exp(-(low + high) / 2)
