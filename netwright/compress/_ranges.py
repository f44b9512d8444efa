"""Choose the range of numbers that gets codes; what lies beyond is clipped.

Paper:    Krishnamoorthi. Quantizing deep convolutional networks for efficient inference: A
          whitepaper. 2018, arXiv:1806.08342, section 2.1 (`min_max`).
          Wu, Judd, Zhang, Isaev, Micikevicius. Integer Quantization for Deep Learning Inference:
          Principles and Empirical Evaluation. 2020, arXiv:2004.09602, section 3.5 (`percentile`,
          `least_divergence`, which it calls entropy).
          Choukroun, Kravchik, Yang, Kisilev. Low-bit Quantization of Neural Networks for Efficient
          Inference. 2019, arXiv:1902.06822, section 3 (`least_error`).
Departs:  ranges need not be symmetric; their ends are shrunk together, and a few dozen of them are
          tried. Zero always has a code of its own.
Notation: share = what is left of the range.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["SAMPLE", "Range", "least_divergence", "least_error", "min_max", "percentile"]

SAMPLE = 1 << 16  # numbers of each tensor that decide where to clip
_CLIPS = 24  # ranges that are tried; twice as many below eight bits, where more has to be clipped
_BINS = 2048


@dataclass(frozen=True, slots=True)
class Range:
    """The range of an activation.

    Attributes:
        low: smallest number that has a code; 0 or below.
        high: largest; 0 or above.
        bits: of a code.
    """

    low: float
    high: float
    bits: int = 8

    @property
    def step(self) -> np.float32:
        """Distance of neighbouring values."""
        return np.float32(max((self.high - self.low) / (2**self.bits - 1), 1e-12))

    @property
    def zero(self) -> np.uint8 | np.uint16:
        """The code of 0."""
        code = np.clip(round(-self.low / float(self.step)), 0, 2**self.bits - 1)
        return np.uint8(code) if self.bits <= 8 else np.uint16(code)

    def rounded(self, sample: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Return the values that numbers are rounded to.

        Args:
            sample: the numbers.
        """
        codes = np.clip(np.rint(sample / self.step) + self.zero, 0, 2**self.bits - 1)
        return (codes - float(self.zero)) * self.step


def min_max(sample: Float[np.ndarray, "n"], bits: int) -> Range:
    """Give every number that was seen a code.

    Args:
        sample: numbers that were seen.
        bits: of a code.

    Example:
        >>> min_max(np.array([0.5, 3.0]), 2)
        Range(low=0.0, high=3.0, bits=2)
    """
    return Range(min(float(sample.min()), 0.0), max(float(sample.max()), 0.0), bits)


def percentile(share: float) -> Callable[[np.ndarray, int], Range]:
    """Clip the same share of the numbers below and above.

    Args:
        share: of the numbers that lie inside, in (0, 1]; 0.999 is usual.

    Returns:
        What chooses a range so.

    Raises:
        ValueError: if `share` is outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"`share` is that of the numbers inside, in (0, 1]; got {share}.")

    def choose(sample: np.ndarray, bits: int) -> Range:
        low, high = np.quantile(sample, [(1 - share) / 2, (1 + share) / 2])
        return Range(min(float(low), 0.0), max(float(high), 0.0), bits)

    return choose


def least_error(sample: Float[np.ndarray, "n"], bits: int) -> Range:
    """Clip where that lowers the mean squared error.

    Args:
        sample: numbers that were seen.
        bits: of a code.
    """
    tried = list(_shrinking(min_max(sample, bits)))
    errors = [float(np.square(each.rounded(sample) - sample).mean()) for each in tried]
    return tried[int(np.argmin(errors))]


def least_divergence(sample: Float[np.ndarray, "n"], bits: int) -> Range:
    """Clip where the rounded numbers are distributed most like the numbers (relative entropy).

    Both are compared bin by bin: what is clipped lies in the outermost bins, and a code's share is
    spread evenly over the bins with numbers that have it.

    Args:
        sample: numbers that were seen.
        bits: of a code.
    """
    whole = min_max(sample, bits)
    if whole.low == whole.high:
        return whole
    counts, edges = np.histogram(sample, _BINS, (whole.low, whole.high))
    middles = (edges[1:] + edges[:-1]) / 2
    tried = list(_shrinking(whole))
    return tried[int(np.argmin([_divergence(counts, middles, each) for each in tried]))]


def _shrinking(whole: Range) -> Iterator[Range]:
    n, most = (_CLIPS, 0.6) if whole.bits >= 8 else (2 * _CLIPS, 0.95)
    for k in range(n):
        share = 1 - most * k / n
        yield Range(whole.low * share, whole.high * share, whole.bits)


def _divergence(counts: np.ndarray, middles: np.ndarray, tried: Range) -> float:
    inside = (middles >= tried.low) & (middles <= tried.high)
    first, last = np.flatnonzero(inside)[[0, -1]]
    kept = counts[first : last + 1].astype(float)
    reference = kept.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last + 1 :].sum()
    codes = np.rint(middles[first : last + 1] / tried.step).astype(int)
    codes -= codes.min()
    filled = (reference > 0).astype(float)
    shares = np.bincount(codes, kept) / np.maximum(np.bincount(codes, filled), 1)
    made = np.maximum(shares[codes] * filled, 1e-4)  # a bin of clipped numbers alone
    p, q = reference / reference.sum(), made / made.sum()
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())
