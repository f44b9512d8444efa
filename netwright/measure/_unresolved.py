"""What a measure answers when its number would mean nothing."""

import math

from torch import Tensor

from netwright.finding import Measurement

__all__ = ["trouble", "unresolved"]


def trouble(outputs: Tensor, y: Tensor) -> str:
    """Say why no measure can be taken of these outputs; empty when it can.

    Args:
        outputs: logits or values, one row an example.
        y: targets, one row an example.

    Raises:
        ValueError: if there are no rows.
    """
    if not len(y):
        raise ValueError("`y` must have at least one row to measure on; got none.")
    bad = int((~outputs.isfinite()).flatten(1).any(1).sum())
    return f"The network's outputs are not finite on {bad:,} of {len(y):,} rows." if bad else ""


def unresolved(n: int, reason: str, confidence: float = 0.95, unit: str = "") -> Measurement:
    """Make a measurement without a number.

    Args:
        n: how many samples it would have rested on.
        reason: why there is no number; one sentence.
        confidence: as in `Measurement`.
        unit: as in `Measurement`.
    """
    return Measurement(
        value=math.nan,
        low=math.nan,
        high=math.nan,
        n=n,
        unit=unit,
        method="none",
        confidence=confidence,
        unresolved=reason,
    )
