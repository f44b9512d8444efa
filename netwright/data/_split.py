"""Decide which row is for training, validation, calibration or test, once and for all by a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from netwright import _rng
from netwright.data._cells import Cells
from netwright.data._errors import DataError
from netwright.data._gathered import Gathered
from netwright.data._quarantine import Quarantine

__all__ = [
    "NAMES",
    "SHARES",
    "SPLITS",
    "Deciding",
    "assign",
    "carve",
    "read_columns",
    "strata_of_values",
]

NAMES = ("train", "validation", "calibration", "test")
SPLITS: Mapping[str, int] = {
    **{"train": 0, "training": 0},
    **{"validation": 1, "valid": 1, "val": 1, "dev": 1},
    **{"calibration": 2},
    **{"test": 3, "testing": 3},
}
SHARES: Mapping[str, float] = {
    "train": 0.6,
    "validation": 0.1,
    "calibration": 0.1,
    "test": 0.2,
}
CARVED_AT_MOST = 5000  # rows of validation and of calibration that are taken from an official train


@dataclass(frozen=True, eq=False)
class Deciding:
    """What columns say about the split.

    Attributes:
        group: a code for each row; rows of one code stay together. None without group columns.
        time: a sortable number for each row; None without a time column.
        official: for each row the place of its split in `NAMES`; None without a split column.
    """

    group: np.ndarray | None
    time: np.ndarray | None
    official: np.ndarray | None


def read_columns(
    gathered: Gathered,
    group: Sequence[str],
    time: str | None,
    split: str | None,
    quarantine: Quarantine,
) -> Deciding:
    """Read the columns that decide the split; rows that lack one of them are bad.

    Args:
        gathered: the source.
        group: columns; rows that share a value in one of them stay together, and with whatever
            those rows share.
        time: column of numbers or dates.
        split: column of split names.
        quarantine: takes the bad rows.

    Raises:
        DataError: if the time column holds neither numbers nor dates, or a split has another name.
    """
    codes = []
    for name in group:
        cells = Cells(gathered.table[name])
        quarantine.add(cells.missing, f"the group `{name}` is missing")
        codes.append(cells.coded[0])
    moments = None
    if time is not None:
        cells = Cells(gathered.table[time])
        days, numbers = cells.days, cells.numbers
        moments = numbers if np.isnan(numbers).sum() <= np.isnan(days).sum() else days
        unread = np.isnan(moments) & ~cells.missing
        quarantine.add(cells.missing, f"the time `{time}` is missing")
        quarantine.add(unread, f"the time `{time}` is neither a number nor a date")
    official = None
    if split is not None:
        places, names = Cells(gathered.table[split]).coded
        unknown = [name for name in names if name.lower() not in SPLITS]
        if unknown:
            raise DataError(
                f"The split column `{split}` holds {unknown[0]!r}; splits are called train, "
                f"validation (valid, val, dev), calibration and test."
            )
        quarantine.add(places < 0, f"the split `{split}` is missing")
        official = np.array([*(SPLITS[name.lower()] for name in names), -1], np.int8)[places]
    return Deciding(_together(codes), moments, official)


def _together(codes: Sequence[np.ndarray]) -> np.ndarray | None:
    # Rows that share a value in any column are linked; what is linked, even over others, is one.
    if len(codes) < 2:
        return codes[0] if codes else None
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(codes[0])
    node = n
    links = []
    for column in codes:
        links.append(np.stack([np.arange(n), column + 1 + node]))
        node += int(column.max(initial=0)) + 2
    rows, columns = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(node, node))
    return connected_components(graph, directed=False)[1][:n]


def assign(
    n: int,
    *,
    seed: int,
    strata: np.ndarray | None = None,
    group: np.ndarray | None = None,
    time: np.ndarray | None = None,
    shares: Mapping[str, float] = SHARES,
) -> np.ndarray:
    """Assign rows to splits.

    Args:
        n: number of rows.
        seed: decides the order in which rows are dealt out.
        strata: a code for each row; every split gets its share of each code, to the row.
        group: a code for each row; rows of one code stay together. Shares are then met as well as
            the sizes of the groups allow, and `strata` are not balanced.
        time: a sortable number for each row; splits follow each other in time, and rows of one
            moment stay together.
        shares: the share of each split, summing to one.

    Returns:
        For each row the place of its split in `NAMES`, int8 (n,).

    Raises:
        ValueError: if both `group` and `time` are given.
        DataError: if there are too few groups or moments to give each split one.
    """
    if group is not None and time is not None:
        raise ValueError("Give `group` or `time`, not both: each decides the split alone.")
    if time is not None:
        return _by_time(time, shares)
    if group is not None:
        return _by_group(group, shares, seed)
    return _stratified(n, np.zeros(n, np.int64) if strata is None else strata, shares, seed)


def carve(
    official: np.ndarray,
    *,
    seed: int,
    strata: np.ndarray | None = None,
    group: np.ndarray | None = None,
    time: np.ndarray | None = None,
) -> np.ndarray:
    """Complete the split that a source comes with: what it lacks is carved from its train rows.

    Validation and calibration take 10 percent of the train rows each, at most 5000 rows; a missing
    test split takes 20 percent.

    Args:
        official: for each row the place of its split in `NAMES`, -1 where the source names none.
        seed: as in `assign`.
        strata: as in `assign`.
        group: as in `assign`.
        time: as in `assign`.

    Returns:
        For each row the place of its split in `NAMES`, int8 (n,).
    """
    chosen = np.where(official < 0, 0, official).astype(np.int8)
    train = np.flatnonzero(chosen == 0)
    wanted = {}
    for place in (1, 2, 3):
        if not (chosen == place).any():
            limit = 0.2 if place == 3 else min(0.1, CARVED_AT_MOST / max(1, len(train)))
            wanted[NAMES[place]] = limit
    if not wanted:
        return chosen
    shares = {"train": 1 - sum(wanted.values()), **wanted}

    def pick(codes: np.ndarray | None) -> np.ndarray | None:
        return None if codes is None else codes[train]

    chosen[train] = assign(
        len(train),
        seed=seed,
        strata=pick(strata),
        group=pick(group),
        time=pick(time),
        shares=shares,
    )
    return chosen


def strata_of_values(values: np.ndarray, bins: int = 10) -> np.ndarray:
    """Give each value the number of its quantile bin, so that splits see the same distribution.

    Args:
        values: one number a row, finite.
        bins: number of bins.
    """
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]) if len(values) else []
    return np.searchsorted(edges, values)


def _stratified(n: int, strata: np.ndarray, shares: Mapping[str, float], seed: int) -> np.ndarray:
    # Systematic sampling: rows lie in the order (stratum, chance); a split with share s takes the
    # rows where the running sum of s passes a half. Every run of rows, hence every stratum, gets
    # its share to within one row, and the totals are exact.
    chance = torch.randperm(n, generator=_rng.child(seed, "split")).numpy()
    order = np.lexsort((chance, strata))
    chosen = np.zeros(n, np.int8)
    left, share_left = order, 1.0
    for place in (3, 2, 1):
        share = shares.get(NAMES[place], 0.0)
        if share <= 0:
            continue
        fraction = min(1.0, share / share_left)
        # Rounded, so that 0.1/0.7 and the like cannot move a boundary by a unit in the last place.
        passed = np.floor(np.round(fraction * np.arange(len(left) + 1), 9) + 0.5)
        taken = np.diff(passed) > 0
        chosen[left[taken]] = place
        left, share_left = left[~taken], share_left - share
    if shares.get("train", 0.0) > 0:
        _give_each_stratum_to_train(strata, chosen, order)
    return chosen


def _give_each_stratum_to_train(strata: np.ndarray, chosen: np.ndarray, order: np.ndarray) -> None:
    # A class of two or three rows may have been dealt out without one for training.
    without = np.setdiff1d(strata, strata[chosen == 0])
    for stratum in without:
        rows = order[strata[order] == stratum]
        chosen[rows[0]] = 0


def _by_group(group: np.ndarray, shares: Mapping[str, float], seed: int) -> np.ndarray:
    _, codes, sizes = np.unique(group, return_inverse=True, return_counts=True)
    wanted = np.array([shares.get(name, 0.0) for name in NAMES])
    n_splits = int((wanted > 0).sum())
    if len(sizes) < n_splits:
        raise DataError(
            f"`group` has {len(sizes)} distinct groups, too few for {n_splits} splits without a "
            f"group on both sides. Choose a finer column, or fewer splits with `split=`."
        )
    chance = torch.randperm(len(sizes), generator=_rng.child(seed, "split")).numpy()
    wanted = np.where(wanted > 0, wanted, 1e-9)
    filled = np.zeros(len(NAMES))
    split_of = np.zeros(len(sizes), np.int8)
    # Largest first, each to the split that it fills least: small groups then level the shares.
    for code in np.lexsort((chance, -sizes)):
        place = int(np.argmin((filled + sizes[code]) / wanted))
        split_of[code] = place
        filled[place] += sizes[code]
    empty = [n for i, n in enumerate(NAMES) if wanted[i] > 1e-9 and not (split_of == i).any()]
    if empty:
        raise DataError(
            f"`group` leaves the {empty[0]} split empty: the largest group has {sizes.max()} of "
            f"{len(group)} rows. Choose a finer column, or other shares with `split=`."
        )
    return split_of[codes]


def _by_time(time: np.ndarray, shares: Mapping[str, float]) -> np.ndarray:
    n = len(time)
    ordered = np.sort(time)
    ends = np.cumsum([shares.get(name, 0.0) for name in NAMES])
    chosen = np.full(n, 3, np.int8)
    for place in (2, 1, 0):
        rows = int(np.floor(np.round(ends[place] * n, 9) + 0.5))
        if rows > 0:
            chosen[time <= ordered[rows - 1]] = place
    wanted = [i for i, name in enumerate(NAMES) if shares.get(name, 0.0) > 0]
    empty = [NAMES[i] for i in wanted if not (chosen == i).any()]
    if empty:
        raise DataError(
            f"`time` leaves the {empty[0]} split empty: rows of one moment stay together, and "
            f"there are {len(np.unique(time))} distinct moments. Choose a finer column."
        )
    return chosen
