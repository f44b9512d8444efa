"""Read the cells of one column as numbers, dates, booleans or words, a whole column at a time."""

import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa

from netwright.data._compute import pc

__all__ = ["MISSING", "Cells", "DAY"]

MISSING = (
    *("", "?", "-", "NA", "N/A", "n/a", "#N/A", "<NA>"),
    *("NaN", "nan", "NULL", "null", "None", "none"),
)
DAY = 86_400_000_000  # microseconds
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INFINITE = r"^[+-]?(inf|Inf|INF|infinity|Infinity)$"
_MOMENT = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
_DATES = (
    r"^(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})$",
    r"^(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})$",
    r"^(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})$",
    r"^(?P<y>\d{4})-(?P<m>\d{1,2})$",
)
_SLASHES = (
    r"^(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})$",
    r"^(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})$",
)
_WORDS = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"))


class Cells:
    """One column, read in whichever way is asked for; each way is worked out once.

    Words are trimmed, and the words in `MISSING` are missing values, as is an empty cell.

    Args:
        column: of strings, numbers, booleans or dates; a dictionary-coded column counts as what it
            codes.
        verbatim: take words as they are: not trimmed, none of them a missing value.
    """

    def __init__(self, column: pa.ChunkedArray | pa.Array, *, verbatim: bool = False) -> None:
        if isinstance(column, pa.Array):
            column = pa.chunked_array([column])
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        self.column = column
        self.verbatim = verbatim
        self.type = column.type
        self.is_text = _is_text(column.type)

    def __len__(self) -> int:
        return len(self.column)

    @cached_property
    def coded(self) -> tuple[np.ndarray, list[str]]:
        """Codes of the distinct words, -1 for missing, int64 (n,); and the words."""
        column = self.column
        if pa.types.is_floating(self.type):
            column = column.cast(pa.float64())
            if bool(pc.all(pc.equal(column, pc.floor(column))).as_py()):  # 3.0 reads "3"
                column = pc.if_else(pc.is_finite(column), column, None).cast(pa.int64())
        if not self.is_text:
            column = column.cast(pa.string())
        encoded = column.dictionary_encode().unify_dictionaries()
        if not encoded.num_chunks or not len(encoded.chunk(0).dictionary):
            return np.full(len(self), -1), []
        codes = np.concatenate(
            [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
        ).astype(np.int64)
        words = encoded.chunk(0).dictionary
        if self.verbatim:
            return codes, words.to_pylist()
        words = pc.utf8_trim_whitespace(words)
        missing = pc.is_in(words, value_set=pa.array(MISSING, words.type))
        words = pc.if_else(missing, None, words).dictionary_encode()
        merged = words.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.append(merged, -1)[codes], words.dictionary.to_pylist()

    @cached_property
    def missing(self) -> np.ndarray:
        """Which cells hold nothing, bool (n,)."""
        if self.is_text:
            return self.coded[0] < 0
        found = self.column.is_null(nan_is_null=True)
        return found.to_numpy().astype(bool)

    @cached_property
    def numbers(self) -> np.ndarray:
        """Cells as numbers, NaN where missing or not a number, float64 (n,)."""
        if self.is_text:
            return self._spread(_parse_numbers(self._words))
        if pa.types.is_date(self.type) or pa.types.is_timestamp(self.type):
            return self.days
        if _is_numeric(self.type):
            column = self.column.cast(pa.float64())
            return column.fill_null(np.nan).to_numpy().astype(np.float64, copy=False)
        return np.full(len(self), np.nan)

    @cached_property
    def days(self) -> np.ndarray:
        """Cells as days since 1970, NaN where missing or not a date, float64 (n,)."""
        if self.is_text:
            return self._spread(_parse_days(self._words))
        if pa.types.is_date(self.type) or pa.types.is_timestamp(self.type):
            moments = self.column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
            return moments.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy() / DAY
        if _is_numeric(self.type):
            return self.numbers
        return np.full(len(self), np.nan)

    @cached_property
    def truths(self) -> np.ndarray:
        """Cells as 0.0 and 1.0, NaN where missing or neither, float64 (n,)."""
        if self.is_text:
            return self._spread(_parse_truths(self.coded[1]))
        numbers = self.numbers
        return np.where((numbers == 0) | (numbers == 1), numbers, np.nan)

    @property
    def _words(self) -> pa.Array:
        return pa.array(self.coded[1], pa.string())

    def _spread(self, of_words: np.ndarray) -> np.ndarray:
        return np.append(of_words, np.nan)[self.coded[0]]  # code -1 takes the NaN


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or "string_view" == str(kind)


def _is_numeric(kind: pa.DataType) -> bool:
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return any(check(kind) for check in known)


def _parse_numbers(words: pa.Array) -> np.ndarray:
    parsable = pc.match_substring_regex(words, _NUMBER)
    values = pc.if_else(parsable, words, None).cast(pa.float64()).fill_null(np.nan).to_numpy()
    infinite = pc.match_substring_regex(words, _INFINITE).to_numpy(zero_copy_only=False)
    return np.where(infinite.astype(bool), np.inf, values)


def _parse_days(words: pa.Array) -> np.ndarray:
    month_first, day_first = (_match_days(words, pattern) for pattern in _SLASHES)
    days = (
        month_first if (~np.isnan(month_first)).sum() >= (~np.isnan(day_first)).sum() else day_first
    )
    for pattern in _DATES:
        days = np.fmax(days, _match_days(words, pattern))
    for zone in (r"$", r"(Z|[+-]\d{2}:?\d{2})$"):
        matching = pc.if_else(pc.match_substring_regex(words, _MOMENT + zone), words, None)
        if matching.null_count < len(matching):
            kind = pa.timestamp("us") if zone == "$" else pa.timestamp("us", "UTC")
            days = np.fmax(days, _as_days(_cast_moments(matching, kind)))
    return days


def _match_days(words: pa.Array, pattern: str) -> np.ndarray:
    parts = pc.extract_regex(words, pattern)
    days = np.full(len(words), np.nan)
    found = np.flatnonzero(parts.is_valid().to_numpy(zero_copy_only=False))
    if not len(found):
        return days

    def part(name: str) -> np.ndarray:
        return pc.struct_field(parts, name).take(found).cast(pa.int64()).to_numpy()

    day = part("d") if "?P<d>" in pattern else np.ones(len(found), np.int64)
    month = part("m")
    valid = (month >= 1) & (month <= 12) & (day >= 1)
    # Arrow's own strptime would let 31 February pass as 3 March.
    first = ((part("y") - 1970) * 12 + np.where(valid, month, 1) - 1).astype("datetime64[M]")
    length = (first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")
    valid &= day <= length.astype(np.int64)
    numbers = first.astype("datetime64[D]").astype(np.float64) + day - 1
    days[found] = np.where(valid, numbers, np.nan)
    return days


def _cast_moments(words: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return words.cast(kind)
    except pa.ArrowInvalid:  # one 2024-02-31 spoils the cast of all; find the sound ones singly
        return pa.array([_moment(word, kind) for word in words.to_pylist()], kind)


def _moment(word: str | None, kind: pa.DataType) -> datetime.datetime | None:
    try:
        return None if word is None else pa.scalar(word).cast(kind).as_py()
    except pa.ArrowInvalid:
        return None


def _as_days(moments: pa.Array) -> np.ndarray:
    number = moments.cast(pa.int64()).cast(pa.float64(), safe=False)
    return number.fill_null(np.nan).to_numpy(zero_copy_only=False) / DAY


def _parse_truths(words: list[str]) -> np.ndarray:
    lowered = [word.lower() for word in words]
    for pair in _WORDS:
        if set(lowered) <= set(pair):
            return np.array([float(pair.index(word)) for word in lowered])
    numbers = _parse_numbers(pa.array(words, pa.string()))
    return np.where((numbers == 0) | (numbers == 1), numbers, np.nan)
