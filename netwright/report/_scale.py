"""Axes: from data to positions, with ticks at 1, 2 and 5 times powers of ten."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Axis", "drawable", "fit_axis", "tick_texts"]

_LARGEST = 1e100
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values and its ticks.

    Attributes:
        low: value at the start of the axis.
        high: value at its end; above `low`.
        ticks: values to mark, increasing, within the range.
        log: whether equal ratios, rather than equal differences, take equal room.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float, start: float, end: float) -> float:
        """Return the position of a value.

        Args:
            value: in units of the data.
            start: position of `low`.
            end: position of `high`.
        """
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return start + (end - start) * (value - low) / (high - low)


def drawable(value: float, *, log: bool = False) -> bool:
    """Say whether an axis can show a value: finite, of a size whose differences are finite too.

    Args:
        value: in units of the data.
        log: whether the axis is logarithmic.
    """
    return abs(value) <= _LARGEST and (not log or value >= 1 / _LARGEST)


def fit_axis(
    values: Iterable[float],
    *,
    log: bool = False,
    zero: bool = False,
    n_ticks: int = 5,
    pad: float = 0.0,
    extend: bool = False,
) -> Axis:
    """Choose a range that holds all finite values, and its ticks.

    Args:
        values: the data; what is not `drawable` is ignored.
        log: whether the axis is logarithmic.
        zero: whether 0 must be on the axis; ignored on a logarithmic one.
        n_ticks: about how many ticks to aim at.
        pad: room to leave at both ends, as a share of the range.
        extend: whether to grow the range to whole ticks.

    Returns:
        An axis; from 0 to 1 where there is no usable value.
    """
    usable = [v if abs(v) * _LARGEST >= 1 else 0.0 for v in values if drawable(v, log=log)]
    if not usable:
        usable = [0.1, 1.0] if log else [0.0, 1.0]
    low, high = min(usable), max(usable)
    if log:
        return _log_axis(low, high, n_ticks, pad)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    elif pad:
        # Padding must not invent impossible values: shares stay in [0, 1], sizes above 0.
        room = (high - low) * pad
        low, high = (
            max(0.0, low - room) if low >= 0 else low - room,
            min(1.0, high + room) if 0 <= low and 0.5 < high <= 1 else high + room,
        )
    step = _step((high - low) / max(n_ticks - 1, 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if extend:
        low, high = first * step, last * step
    places = range(first, last + 1)
    ticks = tuple(
        _tidy(k * step) for k in places if low - step * 1e-6 <= k * step <= high + step * 1e-6
    )
    return Axis(low, high, ticks)


def tick_texts(axis: Axis) -> tuple[str, ...]:
    """Write an axis's ticks for people, all with the same number of decimals.

    Args:
        axis: the axis.
    """
    if axis.log:
        return tuple(_log_text(t) for t in axis.ticks)
    largest = max((abs(t) for t in axis.ticks), default=0.0)
    steps = [b - a for a, b in zip(axis.ticks, axis.ticks[1:], strict=False)]
    step = min(steps, default=largest) or 1.0
    if largest and (largest >= 1e15 or largest < 1e-4):
        return tuple(f"{t:.3g}" for t in axis.ticks)
    scale, prefix = next(((s, p) for s, p in _PREFIXES if largest >= 10 * s), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
    return tuple(
        (f"{t / scale:.{decimals}f}{prefix}" if t else "0").replace("-", "−") for t in axis.ticks
    )


def _tidy(value: float) -> float:
    return float(f"{value:.12g}")


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    # Borders at the geometric means, so that the number of ticks comes out nearest to the aim.
    share = rough / power
    return power * (1 if share < 2**0.5 else 2 if share < 10**0.5 else 5 if share < 50**0.5 else 10)


def _log_axis(low: float, high: float, n_ticks: int, pad: float) -> Axis:
    if high / low < 1.05:
        low, high = low / 2, high * 2
    reach = (high / low) ** pad
    low, high = low / reach, high * reach
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = math.log10(high) - math.log10(low)
    multiples: tuple[int, ...] = (1, 2, 5) if decades <= 2 else (1,)
    every = max(1, math.ceil(decades / (n_ticks + 1)))
    ticks = [float(f"{m}e{k}") for k in range(first, last + 1) if k % every == 0 for m in multiples]
    inside = tuple(t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9))
    if len(inside) < 2:  # less than a factor of two and a half: linear ticks say more
        inside = tuple(t for t in fit_axis((low, high), n_ticks=n_ticks).ticks if t > 0)
    return Axis(low, high, inside, log=True)


def _log_text(value: float) -> str:
    power = math.log10(value)
    if value < 1e-3 or value >= 1e10:
        if abs(power - round(power)) < 1e-9:
            return "10" + str(round(power)).translate(_SUPERSCRIPTS)
        return f"{value:.2g}"
    scale, prefix = next(((s, p) for s, p in _PREFIXES if value >= s), (1.0, ""))
    return f"{value / scale:g}{prefix}"
