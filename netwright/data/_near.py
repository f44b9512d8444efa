"""Find rows that are nearly the same, without comparing every pair.

Each function proposes pairs by hashing (rows that are alike fall into the same bucket in one of
several tables) and keeps those that an exact comparison confirms:

- pictures: the difference of two pictures, each minus its mean, has at most a tenth of the length
  (root of the sum of squares over pixels) of the longer of them: recompression, slight noise,
  another brightness;
- sequences: likewise, of the standardised sequences, to a fiftieth, where missing values and what
  follows the end count as the mean;
- tables: every number agrees to a thousandth of its column's standard deviation, every category
  exactly.
- texts: at least eight in ten of all sequences of three words, or of eight characters where texts
  are cut into these, are in both.

Not found: pictures that are shifted, turned, cropped or mirrored; sequences that begin earlier or
later, or are louder; rewritten sentences.

Paper:    Indyk, Motwani. Approximate nearest neighbors. STOC 1998 (random projections cut into
          cells); Achlioptas. Database-friendly random projections. JCSS 2003 (random signs);
          Broder. On the resemblance and containment of documents. SEQUENCES 1997 (minimum hashes of
          shingles).
Departs:  inside a bucket, rows are sorted and compared with their next few neighbours only, so that
          a bucket of many rows costs no more than its length.
Notation: cell = lattice cell of a hash function, band = rows of the signature hashed together.
"""

from collections.abc import Callable, Iterator

import numpy as np

from netwright import _rng
from netwright.data._arrow import ArrowRows
from netwright.data._schema import Input
from netwright.data._text import Corpus

__all__ = ["blocks", "near_pictures", "near_sequences", "near_tables", "near_texts", "row_keys"]

CLOSE = 0.1  # of the longer picture's length
CLOSE_SEQUENCES = 0.02  # of the longer one; outlines of arrow heads (`arrowhead`) differ by 0.04
QUANTUM = 1e-3  # of a column's standard deviation
ALIKE = 0.8  # share of shingles
NEIGHBOURS = 8
_TABLES = 6
_PROJECTIONS = 10
_SUMS = 64  # numbers of a sequence's sketch
_CELL = 1.5  # width of a cell, in standard deviations of the projection
_HASHES, _BAND = 64, 4
_MIX = np.uint64(0x9E3779B97F4A7C15)


def blocks(x: np.ndarray | ArrowRows, n_bytes: int = 1 << 21) -> Iterator[tuple[int, np.ndarray]]:
    """Yield consecutive rows, a few megabytes at a time, each with the place of the first.

    Args:
        x: rows in memory or in a file.
        n_bytes: size of a block.
    """
    size = max(1, n_bytes // max(1, int(np.prod(x.shape[1 if isinstance(x, np.ndarray) else 0 :]))))
    for start in range(0, len(x), size):
        stop = min(len(x), start + size)
        rows = x[start:stop] if isinstance(x, np.ndarray) else x[np.arange(start, stop)]
        yield start, rows


def row_keys(rows: np.ndarray) -> np.ndarray:
    """Hash each row's bytes; equal rows have equal keys, others almost surely not.

    Args:
        rows: (n, ...), of any type; NaN and zero of either sign count as equal.

    Returns:
        uint64 (n,).
    """
    rows = rows.reshape(len(rows), -1)
    if rows.dtype.kind == "f":
        rows = np.where(np.isnan(rows), np.float32(np.nan), rows + np.float32(0))
    data = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    short = -data.shape[1] % 8
    if short:
        data = np.pad(data, ((0, 0), (0, short)))
    words = data.view(np.uint64)
    odd = _random_words("row keys", words.shape[1]) | np.uint64(1)
    # Folding lets the high bits of a word reach all bits of the product.
    return _mixed(((words ^ (words >> np.uint64(29))) * odd).sum(axis=1, dtype=np.uint64))


def _random_words(name: str, n: int) -> np.ndarray:
    drawn = np.random.Generator(np.random.PCG64(_rng.child_seed(0, name)))
    return drawn.integers(0, 1 << 64, n, dtype=np.uint64)


def _mixed(keys: np.ndarray) -> np.ndarray:
    keys = (keys ^ (keys >> np.uint64(32))) * _MIX
    return keys ^ (keys >> np.uint64(29))


def near_pictures(x: np.ndarray | ArrowRows, split: np.ndarray) -> np.ndarray:
    """Find pairs of nearly equal pictures in different splits.

    Args:
        x: uint8 (n, channels, height, width).
        split: the split of each row, int (n,); -1 for rows to pass over.

    Returns:
        Pairs of places, int64 (pairs, 2).
    """
    sketch = np.concatenate([_sketch(rows) for _, rows in blocks(x)])
    pairs = _alike(sketch, split, CLOSE)
    return pairs[_confirmed(x, pairs, _centred, CLOSE)]


def near_sequences(x: np.ndarray | ArrowRows, inputs: Input, split: np.ndarray) -> np.ndarray:
    """Find pairs of nearly equal sequences in different splits.

    Args:
        x: float32 (n, channels, steps).
        inputs: their schema.
        split: the split of each row, int (n,); -1 for rows to pass over.

    Returns:
        Pairs of places, int64 (pairs, 2).
    """
    mean = np.array(inputs.mean, np.float32)[:, None]
    std = np.array(inputs.std, np.float32)[:, None]

    def standardised(rows: np.ndarray) -> np.ndarray:
        return np.nan_to_num((rows - mean) / std).reshape(len(rows), -1)

    n = int(np.prod(inputs.shape))
    drawn = np.random.Generator(np.random.PCG64(_rng.child_seed(0, "near sequences")))
    signs = drawn.choice(np.array([-1, 1], np.float32), n)
    pad = ((0, 0), (0, -n % _SUMS))

    def sketch(rows: np.ndarray) -> np.ndarray:
        signed = np.pad(standardised(rows) * signs, pad)
        return signed.reshape(len(rows), -1, _SUMS).sum(axis=1)  # (n, 64)

    pairs = _alike(np.concatenate([sketch(rows) for _, rows in blocks(x)]), split, CLOSE_SEQUENCES)
    return pairs[_confirmed(x, pairs, standardised, CLOSE_SEQUENCES)]


def _alike(sketch: np.ndarray, split: np.ndarray, close: float) -> np.ndarray:
    # Pairs whose sketches, float32 (n, d), differ by little more than `close` of their length.
    length = np.linalg.norm(sketch, axis=1, keepdims=True)
    alive = (length[:, 0] > 1e-3) & (
        split >= 0
    )  # a blank picture is like any other blank one: exact twins only
    sketch = sketch / np.maximum(length, 1e-3)
    drawn = np.random.Generator(np.random.PCG64(_rng.child_seed(0, "near pictures")))
    found: list[np.ndarray] = []
    for _ in range(_TABLES):
        directions = drawn.standard_normal((sketch.shape[1], _PROJECTIONS)).astype(np.float32)
        projected = sketch @ directions
        spread = projected.std(axis=0) + 1e-9
        offset = drawn.uniform(0, 1, _PROJECTIONS).astype(np.float32)
        cells = np.floor(projected / (_CELL * spread) + offset).astype(np.int16)
        keys = row_keys(cells)
        pairs = _neighbours(keys, projected[:, 0], split, alive)
        apart = np.linalg.norm(sketch[pairs[:, 0]] - sketch[pairs[:, 1]], axis=1)
        found.append(pairs[apart <= 1.5 * close])
    return np.unique(np.concatenate(found), axis=0)


def _sketch(rows: np.ndarray) -> np.ndarray:
    # Brightness averaged over an 8 x 8 grid, minus its mean; float32 (n, 64).
    n, channels, height, width = rows.shape
    grey = rows[:, 0] if channels == 1 else rows.sum(axis=1, dtype=np.uint16)
    down = _averages(height)  # (height, 8 or less)
    across = _averages(width)
    matrix = np.einsum("hi,wj->hwij", down, across).reshape(height * width, -1)
    found = grey.reshape(n, -1).astype(np.float32) @ (matrix / channels).astype(np.float32)
    return found - found.mean(axis=1, keepdims=True)


def _averages(size: int) -> np.ndarray:
    edges = np.linspace(0, size, min(8, size) + 1)
    pixel = np.arange(size)[:, None]
    inside = np.clip(np.minimum(pixel + 1, edges[1:]) - np.maximum(pixel, edges[:-1]), 0, None)
    return inside / inside.sum(axis=0)


def _neighbours(
    keys: np.ndarray, fine: np.ndarray, split: np.ndarray, alive: np.ndarray
) -> np.ndarray:
    # Pairs of rows of one key and two splits that lie close in the order of `fine`.
    order = np.lexsort((fine, keys))
    order = order[alive[order]]
    keys, split = keys[order], split[order]
    found = [np.zeros((0, 2), np.int64)]
    for step in range(1, NEIGHBOURS + 1):
        same = np.flatnonzero(keys[:-step] == keys[step:])
        if not len(same):
            break
        same = same[split[same] != split[same + step]]
        found.append(np.stack([order[same], order[same + step]], axis=1))
    return np.sort(np.concatenate(found), axis=1)


def _confirmed(
    x: np.ndarray | ArrowRows,
    pairs: np.ndarray,
    flat: Callable[[np.ndarray], np.ndarray],
    close: float,
) -> np.ndarray:
    # Whether rows, made vectors by `flat`, differ by at most `close` of the longer one's length.
    found = np.zeros(len(pairs), bool)
    row_bytes = 4 * int(np.prod(x.shape[1 if isinstance(x, np.ndarray) else 0 :]))
    size = min(4096, max(1, (1 << 26) // row_bytes))
    for start in range(0, len(pairs), size):
        chosen = pairs[start : start + size]
        one, two = (flat(x[chosen[:, side]]) for side in (0, 1))
        longer = np.maximum(np.linalg.norm(one, axis=1), np.linalg.norm(two, axis=1))
        apart = np.linalg.norm(one - two, axis=1)
        found[start : start + size] = (apart <= close * longer) & (longer > 0)
    return found


def _centred(rows: np.ndarray) -> np.ndarray:
    flat = rows.reshape(len(rows), -1).astype(np.float32)
    return flat - flat.mean(axis=1, keepdims=True)


def near_tables(
    x: np.ndarray | ArrowRows, inputs: Input, split: np.ndarray
) -> tuple[np.ndarray, float]:
    """Find pairs of nearly equal table rows in different splits.

    Args:
        x: coded rows, float32 (n, columns).
        inputs: their schema.
        split: the split of each row, int (n,); -1 for rows to pass over.

    Returns:
        Pairs of places, int64 (pairs, 2); and how many would be expected if the columns were
        independent of each other, so that pairs are no news where that is large.
    """
    measured = np.array([column.kind in ("number", "date") for column in inputs.columns])
    step = np.array([column.std * QUANTUM for column in inputs.columns])
    step = np.where(measured, step, 1.0)
    alive = split >= 0
    middle = np.array([column.mean for column in inputs.columns]) * measured
    found = []
    for shift in (0.0, 0.5):  # near values on two sides of a border are together in the other grid
        move = np.where(measured, shift, 0.5)
        with np.errstate(over="ignore", invalid="ignore"):  # cells of rows to pass over
            coarse = [
                row_keys(np.floor((rows - middle) / step + move).astype(np.float32))
                for _, rows in blocks(x)
            ]
        keys = np.concatenate(coarse)
        found.append(_neighbours(keys, np.arange(len(keys)), split, alive))
    return np.unique(np.concatenate(found), axis=0), _by_chance(x, step, split)


def _by_chance(x: np.ndarray | ArrowRows, step: np.ndarray, split: np.ndarray) -> float:
    kept = np.flatnonzero(split >= 0)
    sample = kept[:: max(1, len(kept) // 20_000)]
    rows = np.floor(x[sample] / step + 0.5)
    same = 1.0
    for column in rows.T:
        counts = np.unique(column, return_counts=True)[1].astype(np.float64)
        n = len(column)
        same *= ((counts * (counts - 1)).sum() + 1) / max(1, n * (n - 1))
    sizes = np.bincount(split[split >= 0]).astype(np.float64)
    return same * (sizes.sum() ** 2 - (sizes**2).sum()) / 2


def near_texts(corpus: Corpus, split: np.ndarray, *, together: int = 3) -> np.ndarray:
    """Find pairs of nearly equal texts in different splits.

    Args:
        corpus: the texts.
        split: the split of each row, int (n,); -1 for rows to pass over.
        together: tokens of a sequence.

    Returns:
        Pairs of places, int64 (pairs, 2).
    """
    shingles, start = _shingles(corpus, together)
    odd = _random_words("near texts", _HASHES) | np.uint64(1)
    alive = (np.diff(corpus.start) > 0) & (split >= 0)
    found = []
    for first in range(0, _HASHES, _BAND):
        keys = np.zeros(len(corpus), np.uint64)
        for each in odd[first : first + _BAND]:
            least = np.minimum.reduceat(_mixed(shingles * each), start[:-1])
            keys = _mixed(keys * _MIX + least)
        found.append(_neighbours(keys, least, split, alive))
    pairs = np.unique(np.concatenate(found), axis=0)
    sets = [np.unique(shingles[start[i] : start[i + 1]]) for i in pairs.ravel()]
    close = [
        _n_common(one, two) >= ALIKE / (1 + ALIKE) * (len(one) + len(two))
        for one, two in zip(sets[::2], sets[1::2], strict=True)
    ]
    return pairs[np.array(close, bool)]


def _n_common(one: np.ndarray, two: np.ndarray) -> int:
    return len(np.intersect1d(one, two, assume_unique=True))


def _shingles(corpus: Corpus, together: int) -> tuple[np.ndarray, np.ndarray]:
    # Hashes of the sequences of so many tokens of each text; a shorter text is one shingle.
    lengths = np.diff(corpus.start)
    counts = np.maximum(1, lengths - (together - 1))
    start = np.concatenate([[0], np.cumsum(counts)])
    place = np.repeat(corpus.start[:-1] - start[:-1], counts) + np.arange(start[-1])
    end = np.repeat(corpus.start[1:], counts)
    padded = np.append(corpus.flat, np.zeros(together, np.int32))
    hashed = np.zeros(len(place), np.uint64)
    for step in range(together):
        inside = place + step < end
        token = np.where(inside, padded[np.minimum(place + step, len(padded) - 1)] + 1, 0)
        hashed = _mixed(hashed * _MIX + token.astype(np.uint64))
    return hashed, start
