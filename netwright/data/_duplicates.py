"""Report rows of one split that occur, exactly or nearly, in another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwright.data import _near
from netwright.data._arrow import ArrowRows
from netwright.data._schema import Input
from netwright.data._split import NAMES
from netwright.data._text import Corpus
from netwright.finding import Table

__all__ = ["Duplicates", "find_duplicates"]

LISTED = 1000
COLUMNS = ("kind", "split", "row", "other split", "other row", "same target")


@dataclass(frozen=True, eq=False)
class Duplicates:
    """What was found.

    Attributes:
        table: one row for each row of validation, calibration or test that occurs in a split before
            its own; at most 1000, exact ones first. Rows are row numbers of the source.
        notes: totals in words; empty if there are none.
    """

    table: Table
    notes: tuple[str, ...]


def find_duplicates(
    x: np.ndarray | ArrowRows,
    inputs: Input,
    *,
    split: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    corpus: Corpus | None = None,
) -> Duplicates:
    """Find rows that stand on both sides of a split.

    Args:
        x: the inputs of all splits, as stored.
        inputs: their schema.
        split: for each row the place of its split in `_split.NAMES`; -1 for rows to pass over.
        y: the targets, to say whether the twins agree.
        rows: row numbers in the source.
        corpus: the texts, whole, if the inputs are texts.
    """
    later, earlier = _exact(x, split, corpus)
    expected = 0.0
    if inputs.kind == "image":
        near = _near.near_pictures(x, split)
    elif inputs.kind == "sequence":
        near = _near.near_sequences(x, inputs, split)
    elif corpus is not None:
        # A few letters follow each other in every chain of DNA.
        together = 3 if inputs.tokens == "words" else 8
        near = _near.near_texts(corpus, split, together=together)
    else:
        near, expected = _near.near_tables(x, inputs, split)
    near_later, near_earlier = _once(near, split, set(later.tolist()))
    kinds = ["exact"] * len(later) + ["near"] * len(near_later)
    one = np.concatenate([later, near_later])
    two = np.concatenate([earlier, near_earlier])
    agree = (y[one] == y[two]).reshape(len(one), -1 if len(one) else 0).all(axis=1)
    listed = tuple(
        (kind, NAMES[split[i]], int(rows[i]), NAMES[split[j]], int(rows[j]), "yes" if ok else "no")
        for kind, i, j, ok in list(zip(kinds, one, two, agree, strict=True))[:LISTED]
    )
    table = Table("Rows that occur in two splits", COLUMNS, listed)
    return Duplicates(table, _notes(kinds, split[one], agree, expected))


def _exact(
    x: np.ndarray | ArrowRows, split: np.ndarray, corpus: Corpus | None
) -> tuple[np.ndarray, np.ndarray]:
    if corpus is None:
        keys = np.concatenate([_near.row_keys(rows) for _, rows in _near.blocks(x)])
    else:
        keys = _text_keys(corpus)
    order = np.lexsort((np.arange(len(keys)), split, keys))
    order = order[split[order] >= 0]
    starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]) != 0)
    leader = order[np.repeat(starts, np.diff(np.append(starts, len(order))))]
    twins = split[order] != split[leader]
    later, earlier = order[twins], leader[twins]
    if corpus is None and len(later):  # a hash may err; the rows themselves do not
        same = np.concatenate(
            [
                _same(x[later[i : i + 4096]], x[earlier[i : i + 4096]])
                for i in range(0, len(later), 4096)
            ]
        )
        later, earlier = later[same], earlier[same]
    place = np.argsort(later)
    return later[place], earlier[place]


def _same(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    equal = one == two
    if one.dtype.kind == "f":
        equal |= np.isnan(one) & np.isnan(two)
    return equal.reshape(len(one), -1).all(axis=1)


def _text_keys(corpus: Corpus) -> np.ndarray:
    # Sum of mixed (token, place) pairs; token numbers are exact, so that only 64-bit chance errs.
    lengths = np.diff(corpus.start)
    place = np.arange(len(corpus.flat)) - np.repeat(corpus.start[:-1], lengths)
    pair = np.stack([corpus.flat.astype(np.int64), place], axis=1)
    terms = np.append(_near.row_keys(pair), np.uint64(0)) if len(pair) else np.zeros(1, np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms[:-1], dtype=np.uint64)])
    return sums[corpus.start[1:]] - sums[corpus.start[:-1]] + lengths.astype(np.uint64)


def _once(pairs: np.ndarray, split: np.ndarray, known: set[int]) -> tuple[np.ndarray, np.ndarray]:
    # Each later row with one partner, that of the earliest split.
    swap = split[pairs[:, 0]] > split[pairs[:, 1]]
    earlier = np.where(swap, pairs[:, 1], pairs[:, 0])
    later = np.where(swap, pairs[:, 0], pairs[:, 1])
    order = np.lexsort((earlier, split[earlier], later))
    later, earlier = later[order], earlier[order]
    first = np.diff(later, prepend=-1) != 0
    fresh = np.array([i not in known for i in later.tolist()], bool)
    return later[first & fresh], earlier[first & fresh]


def _notes(
    kinds: Sequence[str], split: np.ndarray, agree: np.ndarray, expected: float
) -> tuple[str, ...]:
    if not kinds:
        return ()
    exact = kinds.count("exact")
    where = ", ".join(
        f"{int((split == place).sum()):,} of {name}"
        for place, name in enumerate(NAMES)
        if (split == place).any()
    )
    apart = len(kinds) - int(agree.sum())
    note = (
        f"{len(kinds):,} rows occur in an earlier split too ({exact:,} exactly, "
        f"{len(kinds) - exact:,} nearly; {where}); {apart:,} of them with another target."
    )
    if expected > len(kinds) / 10:
        note += (
            f" Rows take so few distinct values that {expected:,.0f} such pairs would be expected "
            f"by chance."
        )
    return (note,)
