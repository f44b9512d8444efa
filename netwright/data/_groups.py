"""Name the group of each row, for gaps between groups."""

import numpy as np

from netwright.data._cells import Cells

__all__ = ["group_names"]

DISTINCT = 10  # distinct numbers up to which each is a group of its own


def group_names(cells: Cells, train: np.ndarray) -> np.ndarray:
    """Name the group of each row.

    Words are groups; so are numbers of which there are at most ten distinct ones. Other numbers are
    cut at the quartiles of the training rows. Rows without a value are the group "missing".

    Args:
        cells: the column.
        train: the training rows, bool (n,).

    Returns:
        One name a row, object (n,).
    """
    codes, words = cells.coded
    numbers = cells.numbers
    present = numbers[train & np.isfinite(numbers)]
    all_numbers = np.isfinite(numbers[codes >= 0]).all()
    if len(words) <= DISTINCT or not all_numbers or not len(present):
        return np.array([*words, "missing"], object)[codes]
    cuts = np.unique(np.quantile(present, (0.25, 0.5, 0.75)))
    ends = [f"{cut:.6g}" for cut in cuts]
    names = [f"up to {ends[0]}"]
    names += [f"above {low} to {high}" for low, high in zip(ends[:-1], ends[1:], strict=True)]
    names += [f"above {ends[-1]}", "missing"]
    place = np.searchsorted(cuts, np.nan_to_num(numbers), side="left")
    return np.array(names, object)[np.where(np.isfinite(numbers), place, len(names) - 1)]
