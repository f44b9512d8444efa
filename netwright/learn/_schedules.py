"""How the learning rate changes over a training, as pure functions of progress.

Paper:    one_cycle: Smith, Topin. Super-Convergence. 2018, arXiv:1708.07120, section 3.
          cosine: Loshchilov, Hutter. SGDR. ICLR 2017, arXiv:1608.03983, equation 5, one period.
Departs:  one_cycle rises and falls along half cosines, as torch's `OneCycleLR` does, and leaves
          momentum alone.
Notation: progress = share of the training that is done, in [0, 1]; the value is the share of the
          peak learning rate.
"""

import math

__all__ = ["cosine", "one_cycle"]


def one_cycle(
    progress: float, *, rise: float = 0.3, first: float = 1 / 25, last: float = 4e-6
) -> float:
    """Rise from `first` to the peak, then fall to `last`.

    Args:
        progress: share of the training that is done, in [0, 1].
        rise: share of the training that the rise takes, in (0, 1).
        first: rate at the start, as a share of the peak.
        last: rate at the end, as a share of the peak.

    Returns:
        Share of the peak learning rate.

    Example:
        >>> [round(one_cycle(p), 3) for p in (0.0, 0.3, 1.0)]
        [0.04, 1.0, 0.0]
    """
    _check(progress)
    if progress < rise:
        return _anneal(first, 1.0, progress / rise)
    return _anneal(1.0, last, (progress - rise) / (1.0 - rise))


def cosine(progress: float) -> float:
    """Fall from the peak to zero along half a cosine.

    Args:
        progress: share of the training that is done, in [0, 1].

    Returns:
        Share of the peak learning rate.

    Example:
        >>> [round(cosine(p), 3) for p in (0.0, 0.5, 1.0)]
        [1.0, 0.5, 0.0]
    """
    _check(progress)
    return _anneal(1.0, 0.0, progress)


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


def _check(progress: float) -> None:
    if not 0.0 <= progress <= 1.0:
        raise ValueError(f"`progress` must be a share of the training in [0, 1]; got {progress}.")
