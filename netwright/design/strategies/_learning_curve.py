"""Foretell from the first part of a learning curve where it will end, and how sure that is.

Paper:    Domhan, Springenberg, Hutter. Speeding up Automatic Hyperparameter Optimization of Deep
          Neural Networks by Extrapolation of Learning Curves. IJCAI 2015, section 3 (a weighted
          combination of parametric curves, with its posterior).
          Hestness et al. Deep Learning Scaling is Predictable, Empirically. 2017,
          arXiv:1712.00409, section 2 (errors fall by a power of what is spent).
Departs:  one family spans the shapes: the logarithm of the error is linear in a Box-Cox transform
          of time, which is a power law at 0, an exponential at 1, and levels off below 0. So the
          posterior has a closed form for each power, and no chain is sampled. `Asha` does not use
          it: among designs that were seen for equally long the last measurement ranks as well.
Notation: time = t, power = theta, log error = c + a (t^theta - 1) / theta + noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Extrapolation", "extrapolate"]

# Powers near that of a power law are likely, the exponential and early levels not excluded.
_POWERS = np.linspace(-2.0, 1.0, 13)
_LOG_PRIOR = -(((_POWERS - 0.1) / 0.3) ** 2) / 2
# Normal-inverse-gamma prior of log errors: slopes a of -0.6 +- 0.4 at a wide level, and a scatter
# of about 12 % from one epoch to the next, worth five observations. Chosen by the likelihood of the
# ends of a twelfth of the trainings that the claims D1 to D4 search; others test the interval.
_SLOPE, _SLOPE_STD, _LEVEL_STD = -0.6, 0.4, 3.0
_NOISE, _WORTH = 0.12, 5.0


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Where a learning curve is expected to arrive.

    Attributes:
        value: median of the error to come, in units of the errors given.
        low: lower end of the interval.
        high: upper end.
        confidence: probability that the error to come lies in the interval.
        p_below: probability that it lies below the threshold that was asked about; NaN if none was.
    """

    value: float
    low: float
    high: float
    confidence: float
    p_below: float = math.nan


def extrapolate(
    shares: Sequence[float],
    errors: Sequence[float],
    *,
    at: float = 1.0,
    confidence: float = 0.9,
    threshold: float | None = None,
) -> Extrapolation:
    """Foretell the error of a training from its errors so far.

    The interval is that of the posterior of a curve and its noise. It holds for curves of this
    kind; a schedule that lowers the learning rate only at the very end is none.

    Args:
        shares: how much of the training was done at each measurement, in (0, 1], rising.
        errors: what was measured then: 1 - accuracy, log loss, RMSE: positive, less is better.
        at: the share that is asked about.
        confidence: of the interval, in (0, 1).
        threshold: an error, such as that of the best candidate so far, to compare with.

    Raises:
        ValueError: if there are fewer than two measurements, as many shares as errors are not
            given, they are not positive, or shares do not rise.

    Example:
        >>> found = extrapolate([0.1, 0.2, 0.4], [0.40, 0.28, 0.20])
        >>> found.low < 0.13 < found.high
        True
    """
    _check(shares, errors, at, confidence)
    logs = np.log(np.maximum(np.asarray(errors, dtype=float), 1e-9))
    time = np.asarray(shares, dtype=float) / shares[-1]  # the last is 1, where all shapes are 0
    parts = [_posterior(power, time, logs, at / shares[-1]) for power in _POWERS]
    evidence = np.array([part[0] for part in parts]) + _LOG_PRIOR
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    freedom = parts[0][1]
    centres = np.array([part[2] for part in parts])
    scales = np.array([part[3] for part in parts])

    def below(log_error: float) -> float:
        from scipy.special import stdtr

        return float(weights @ stdtr(freedom, (log_error - centres) / scales))

    tail = (1 - confidence) / 2
    low, value, high = (math.exp(_solve(below, p, logs[-1])) for p in (tail, 0.5, 1 - tail))
    p_below = math.nan if threshold is None else below(math.log(max(threshold, 1e-9)))
    return Extrapolation(value, low, high, confidence, p_below)


def _posterior(
    power: float, time: np.ndarray, logs: np.ndarray, at: float
) -> tuple[float, float, float, float]:
    """Return log evidence, degrees of freedom, and centre and scale of the foretold log error."""

    def shape(t: np.ndarray) -> np.ndarray:
        return np.log(t) if abs(power) < 1e-9 else (t**power - 1) / power

    n = len(time)
    rows = np.stack([np.ones(n), shape(time)], axis=1)
    prior_mean = np.array([logs[-1], _SLOPE])
    # Variances in units of that of the noise.
    prior = np.diag([(_NOISE / _LEVEL_STD) ** 2, (_NOISE / _SLOPE_STD) ** 2])
    precision = rows.T @ rows + prior
    mean = np.linalg.solve(precision, rows.T @ logs + prior @ prior_mean)
    left = logs @ logs + prior_mean @ prior @ prior_mean - mean @ precision @ mean
    a = (_WORTH + n) / 2
    b = (_WORTH * _NOISE**2 + max(left, 0.0)) / 2
    evidence = -0.5 * np.linalg.slogdet(precision)[1] - a * math.log(b)
    asked = np.array([1.0, shape(np.array([at]))[0]])
    spread = 1 + asked @ np.linalg.solve(precision, asked)
    return float(evidence), 2 * a, float(asked @ mean), math.sqrt(b / a * spread)


def _solve(below, p: float, around: float) -> float:
    low, high = around - 40.0, around + 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < p else (low, middle)
    return (low + high) / 2


def _check(shares: Sequence[float], errors: Sequence[float], at: float, confidence: float) -> None:
    if len(shares) != len(errors) or len(shares) < 2:
        raise ValueError(
            f"`shares` and `errors` must be equally many, two at least; got {len(shares)} and "
            f"{len(errors)}."
        )
    if min(*shares, at) <= 0 or any(b <= a for a, b in zip(shares, shares[1:], strict=False)):
        raise ValueError(f"`shares` must be positive and rise; got {list(shares)}.")
    if not all(error >= 0 and math.isfinite(error) for error in errors):
        raise ValueError(f"`errors` must be finite and not negative; got {list(errors)}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` is a probability; got {confidence}.")
