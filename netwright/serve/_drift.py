"""How far the rows that come in have moved away from the training rows.

Every row is summed up in a few numbers or words: a table's row by its cells; an image by its
brightness, its contrast, and the brightness of the fields of a 4 by 4 grid; a text by its length
and its share of unknown words (or characters); a sequence by its length and, of each channel, the
mean and the spread; and each by the answer it got. Each is compared with the training rows'.

Paper:    Population stability index: Lewis. An Introduction to Credit Scoring. 1994. Its
          distribution without drift: Yurdakul. Statistical Properties of Population Stability
          Index. Western Michigan University, 2018. Two-sample distance: Smirnov. Table for
          Estimating the Goodness of Fit of Empirical Distributions. Ann. Math. Statist. 1948.
Departs:  half a row is added to every bin, so that empty ones have a logarithm; "shifted" takes an
          index above 0.2 that is also beyond what chance does once in 1,000 windows over all
          columns together.
Notation: psi = sum over bins of (p - q) ln(p / q); q = training share, p = share now.
"""

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from netwright.artefact._raw import input_names
from netwright.data import Input, Schema
from netwright.data._text import cutter

__all__ = ["ANSWER", "ColumnDrift", "Profile", "Window", "fit_profile", "summarise"]

ANSWER = "the answer"
FEWEST = 100  # rows in the window, below which nothing is said
_BINS = 10
_GRID = 4
_MOST_WORDS = 20
_SHIFT = 0.2
_CHANCE = 1e-3
_KEPT = 2000  # training values kept for the two-sample distance
_OTHER, _MISSING = "(other)", "(missing)"

State = Literal["too few rows", "steady", "shifted"]
Values = Mapping[str, Sequence[float | str | None]]


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How one column moved.

    Attributes:
        name: of the column.
        psi: population stability index; 0 for the same distribution.
        ks: largest distance of the two distribution functions, 0 to 1; None for words.
        state: "shifted" if it moved, "steady" if not, or "too few rows".
        n: rows of the window.
        before: mean of the training rows, or their most frequent word.
        now: mean of the window, or its most frequent word.
    """

    name: str
    psi: float
    ks: float | None
    state: State
    n: int
    before: str
    now: str


def summarise(feed: Mapping[str, np.ndarray], schema: Schema) -> dict[str, list[Any]]:
    """Sum rows up.

    Args:
        feed: raw rows, as the graph takes them.
        schema: of the model.

    Returns:
        A list of numbers (None is missing) or words for each name, as long as there are rows.
    """
    if schema.input.kind == "image":
        return _image(feed["image"])
    if schema.input.kind == "text":
        return _text(feed["text"], schema.input)
    if schema.input.kind == "sequence":
        return _sequence(feed["sequence"], schema.input)
    found: dict[str, list[Any]] = {}
    for name, column in zip(input_names(schema), schema.input.columns, strict=True):
        values = feed[name].tolist()
        if column.kind == "category":
            known = set(column.categories)
            found[column.name] = [v if v in known else _OTHER if v else _MISSING for v in values]
        else:
            found[column.name] = [None if v != v else v for v in values]
    return found


def _image(pixels: np.ndarray) -> dict[str, list[Any]]:
    grey = pixels.mean(axis=1, dtype=np.float64) if pixels.shape[1] > 1 else pixels[:, 0]
    names, weights = _fields(*grey.shape[1:])
    flat = grey.reshape(len(grey), -1) / 255
    means = flat @ weights  # (rows, 1 + fields)
    apart = flat - means[:, :1]
    contrast = np.sqrt(np.einsum("ij,ij->i", apart, apart) / flat.shape[1])
    brightness, *fields = means.round(5).T.tolist()
    found = {"brightness": brightness, "contrast": contrast.round(5).tolist()}
    return found | dict(zip(names, fields, strict=True))


@cache
def _fields(height: int, width: int) -> tuple[list[str], np.ndarray]:
    """Name the fields of an image, and say what each pixel weighs in all of it and in each."""
    row, column = (
        np.repeat(np.arange(len(_starts(size))), np.diff(_starts(size), append=size))
        for size in (height, width)
    )
    n = int(column[-1]) + 1
    names = [f"brightness of field {k // n + 1},{k % n + 1}" for k in range((row[-1] + 1) * n)]
    inside = (row[:, None] * n + column).reshape(-1, 1) == np.arange(len(names))
    weights = np.column_stack([np.ones(height * width), inside])
    return names, weights / weights.sum(axis=0)


def _starts(size: int) -> np.ndarray:
    """Where the fields of a side begin."""
    n = min(_GRID, size)
    return np.arange(n) * size // n


def _text(texts: np.ndarray, inputs: Input) -> dict[str, list[Any]]:
    known, cut = _words(inputs.vocabulary), cutter(inputs)
    lengths, unknown = [], []
    for text in texts:
        tokens = cut(text)
        lengths.append(float(len(tokens)))
        missed = sum(token not in known for token in tokens)
        unknown.append(round(missed / max(1, len(tokens)), 5))
    return {"length": lengths, f"share of unknown {inputs.tokens}": unknown}


def _sequence(values: np.ndarray, inputs: Input) -> dict[str, list[Any]]:
    values = values[:, :, : inputs.shape[1]].astype(np.float64)  # what the network looks at
    present = ~np.isnan(values)
    ends = np.where(present.any(axis=1), np.arange(1, values.shape[2] + 1), 0)
    found: dict[str, list[Any]] = {"length": ends.max(axis=1).astype(float).tolist()}
    count = present.sum(axis=2)
    mean = np.where(present, values, 0).sum(axis=2) / np.maximum(count, 1)
    square = np.where(present, (values - mean[:, :, None]) ** 2, 0).sum(axis=2)
    spread = np.sqrt(square / np.maximum(count, 1))
    for name, sort in (("mean", mean), ("spread", spread)):
        for channel, of in enumerate(inputs.channels or map(str, range(inputs.shape[0]))):
            column = zip(sort[:, channel].tolist(), count[:, channel].tolist(), strict=True)
            found[f"{name} of {of}"] = [float(f"{v:.5g}") if n else None for v, n in column]
    return found


@cache
def _words(vocabulary: tuple[str, ...]) -> frozenset[str]:
    return frozenset(vocabulary)


@dataclass(frozen=True, eq=False)
class _Reference:
    edges: np.ndarray | None  # None for words
    words: tuple[str, ...]
    shares: np.ndarray  # of the bins, or of the words; missing comes last
    values: np.ndarray  # sorted, of numbers
    shown: str


@dataclass(frozen=True, eq=False)
class Profile:
    """What the training rows look like.

    Attributes:
        columns: by name.
        n: rows.
    """

    columns: Mapping[str, _Reference]
    n: int

    def compare(self, values: Values) -> tuple[ColumnDrift, ...]:
        """Measure how far rows have moved.

        Args:
            values: of the window, as from `summarise`.
        """
        shared = [name for name in self.columns if name in values]
        return tuple(
            _compare(name, self.columns[name], values[name], self.n, len(shared)) for name in shared
        )


def fit_profile(values: Values) -> Profile:
    """Learn what training rows look like.

    Args:
        values: of the training rows, as from `summarise`.
    """
    n = max((len(v) for v in values.values()), default=0)
    return Profile({name: _fit(list(v)) for name, v in values.items()}, n)


def _fit(values: list[Any]) -> _Reference:
    if any(isinstance(v, str) for v in values):
        counts = Counter(values)
        words = tuple(w for w, _ in counts.most_common(_MOST_WORDS) if w != _OTHER) + (_OTHER,)
        return _Reference(
            None, words, _word_counts(values, words), np.empty(0), words[0] if words else ""
        )
    present = np.sort([v for v in values if v is not None]).astype(np.float64)
    inner = np.quantile(present, np.linspace(0, 1, _BINS + 1)[1:-1]) if len(present) else []
    edges = np.unique(inner)
    # A value that many rows share stands alone, between it and the next number.
    spread = (
        np.unique(np.concatenate([edges, np.nextafter(edges, np.inf)])) if len(edges) else edges
    )
    edges = spread if len(edges) < _BINS - 1 else edges
    mean = f"{present.mean():.4g}" if len(present) else "missing"
    places = np.linspace(0, len(present) - 1, min(_KEPT, len(present))).astype(int)
    return _Reference(edges, (), _bin_counts(values, edges), present[places], mean)


def _bin_counts(values: Sequence[Any], edges: np.ndarray) -> np.ndarray:
    present = np.array([v for v in values if v is not None], np.float64)
    places = np.searchsorted(edges, present, side="right")
    counts = np.bincount(places, minlength=len(edges) + 1).astype(np.float64)
    return np.append(counts, len(values) - len(present))


def _word_counts(values: Sequence[Any], words: tuple[str, ...]) -> np.ndarray:
    counts = Counter(values)
    known = [float(counts.pop(word, 0)) for word in words]
    known[-1] += sum(counts.values())
    return np.array(known)


def _compare(
    name: str, reference: _Reference, values: Sequence[Any], n_before: int, columns: int
) -> ColumnDrift:
    n = len(values)
    if reference.edges is None:
        counts = _word_counts(values, reference.words)
        now = Counter(values).most_common(1)[0][0] if values else ""
        ks = None
    else:
        counts = _bin_counts(values, reference.edges)
        present = np.sort([v for v in values if v is not None]).astype(np.float64)
        now = f"{present.mean():.4g}" if len(present) else "missing"
        ks = _distance(reference.values, present)
    used = (reference.shares + counts) > 0
    q, p = _shares(reference.shares[used]), _shares(counts[used])
    psi = float(((p - q) * np.log(p / q)).sum())
    state: State = "too few rows"
    if n >= FEWEST:
        limit = _limit(int(used.sum()) - 1, columns) * (1 / n + 1 / max(1, n_before))
        state = "shifted" if psi > max(_SHIFT, limit) else "steady"
    return ColumnDrift(name, round(psi, 4), ks, state, n, reference.shown, str(now))


def _shares(counts: np.ndarray) -> np.ndarray:
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


@cache
def _limit(freedom: int, columns: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(1 - _CHANCE / max(1, columns), max(1, freedom)))


def _distance(before: np.ndarray, now: np.ndarray) -> float | None:
    if not len(before) or not len(now):
        return None
    places = np.concatenate([before, now])
    first = np.searchsorted(before, places, side="right") / len(before)
    second = np.searchsorted(now, places, side="right") / len(now)
    return round(float(np.abs(first - second).max()), 4)


class Window:
    """The summaries of the last rows. Threads may share one."""

    def __init__(self, most: int) -> None:
        """Begin empty.

        Args:
            most: rows that are kept.
        """
        self._lock = threading.Lock()
        self._rows: deque[Mapping[str, Any]] = deque(maxlen=most)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; the oldest leave.

        Args:
            rows: a summary each.
        """
        with self._lock:
            self._rows.extend(rows)

    def values(self) -> dict[str, list[Any]]:
        """Return the rows' summaries, column by column."""
        with self._lock:
            rows = list(self._rows)
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def __len__(self) -> int:
        return len(self._rows)
