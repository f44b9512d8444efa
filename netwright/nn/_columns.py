"""What the encoders of tables must know about a column."""

from typing import Protocol, runtime_checkable

__all__ = ["ColumnLike"]


@runtime_checkable
class ColumnLike(Protocol):
    """A column of a table; `data.Column` is one. Statistics come from the training split.

    Attributes:
        kind: "number", "date", "boolean" or "category".
        categories: the values of a category column; the tensor counts them from 1.
        has_missing: whether numbers, dates or booleans were missing (NaN) in training.
        mean: mean over present values.
        std: standard deviation over present values.
        minimum: smallest present value.
        maximum: largest present value.
        quantiles: increasing inner quantiles.
    """

    @property
    def kind(self) -> str: ...  # honest: a protocol
    @property
    def categories(self) -> tuple[str, ...]: ...  # honest: a protocol
    @property
    def has_missing(self) -> bool: ...  # honest: a protocol
    @property
    def mean(self) -> float: ...  # honest: a protocol
    @property
    def std(self) -> float: ...  # honest: a protocol
    @property
    def minimum(self) -> float: ...  # honest: a protocol
    @property
    def maximum(self) -> float: ...  # honest: a protocol
    @property
    def quantiles(self) -> tuple[float, ...]: ...  # honest: a protocol
