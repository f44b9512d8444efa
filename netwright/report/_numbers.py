"""Write the numbers of one column alike, so that their decimal points stand below each other."""

import math
from collections.abc import Sequence

from netwright.finding import Cell

__all__ = ["write_column"]

_MOST_LETTERS = 400


def write_column(values: Sequence[Cell]) -> list[str]:
    """Write the cells of one column alike: all its numbers with the same number of decimals.

    Args:
        values: the cells; None becomes a dash, long texts are cut.
    """
    floats = [v for v in values if isinstance(v, float) and math.isfinite(v)]
    decimals = _decimals(floats)
    grouped = any(isinstance(v, int) and abs(v) >= 10_000 for v in values)
    return [_cell(v, decimals, grouped) for v in values]


def _decimals(values: list[float]) -> int | None:
    """Decimals that give every value four digits or so; None where their sizes differ too much."""
    sizes = [abs(v) for v in values if v]
    if not sizes:
        return 0
    largest, smallest = max(sizes), min(sizes)
    if largest >= 1e9 or (smallest < 1e-5 * largest and smallest < 1e-3) or largest < 1e-4:
        return None
    power = math.floor(math.log10(largest))
    decimals = max(0, min(6, 3 - power if power >= 0 else 2 - power))
    if smallest >= 1e-3:  # two digits at least for the smallest
        decimals = max(decimals, 1 - math.floor(math.log10(smallest)))
    # Zeros at the end of every number go, but only where they stand for nothing that was cut off.
    while decimals and all(math.isclose(v, round(v, decimals - 1), rel_tol=1e-9) for v in values):
        decimals -= 1
    return decimals


def _cell(value: Cell, decimals: int | None, grouped: bool) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return (f"{value:,}" if grouped else str(value)).replace("-", "−")
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not a number" if value != value else ("∞" if value > 0 else "−∞")
        shown = f"{value:.4g}" if decimals is None else f"{value:,.{decimals}f}"
        return shown.replace("-", "−") if "e" not in shown else shown
    if len(value) > _MOST_LETTERS:
        return f"{value[:_MOST_LETTERS]}… ({len(value) - _MOST_LETTERS:,} more characters)"
    return value
