"""Turn the row of a table, coded as in `data.Column`, into a vector that layers can use."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn._columns import ColumnLike

__all__ = ["TableEncoder"]


class TableEncoder(nn.Module):
    """Encode numbers, dates, booleans and categories; missing values get an indicator.

    A missing number, date or boolean becomes the column's mean; a column that had missing values in
    training adds an indicator, 1 where the value is missing. Categories are embedded; row 0 of a
    column's embedding stands for missing and never-seen values.

    Attributes:
        out_features: length of the vector that comes out.
        numbers: encodes numbers and dates; None when the table has neither.
        embedding: of all categories of all columns, one after the other; None without categories.
    """

    number_places: Tensor
    number_means: Tensor
    boolean_places: Tensor
    boolean_means: Tensor
    boolean_stds: Tensor
    missing_places: Tensor
    category_places: Tensor
    category_offsets: Tensor

    def __init__(
        self,
        columns: Sequence[ColumnLike],
        *,
        encode_numbers: Callable[..., nn.Module],
        category_width: int = 8,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Plan which column goes where.

        Args:
            columns: of the whole table, in tensor order.
            encode_numbers: makes the encoder of numbers and dates from their columns, for example
                `PiecewiseLinear`; called with `device` and `dtype` too.
            category_width: length of a category's embedding.
            device: where parameters and buffers lie.
            dtype: of parameters and buffers.

        Raises:
            ValueError: if there is no column.
        """
        super().__init__()
        if not columns:
            raise ValueError("`columns` must not be empty: a table needs at least one column.")
        dtype = dtype or torch.get_default_dtype()
        kinds = {
            kind: [i for i, c in enumerate(columns) if c.kind in names]
            for kind, names in (
                ("number", ("number", "date")),
                ("boolean", ("boolean",)),
                ("category", ("category",)),
            )
        }
        missing = [i for i, c in enumerate(columns) if c.has_missing and c.kind != "category"]
        sizes = [len(columns[i].categories) + 1 for i in kinds["category"]]
        offsets = [sum(sizes[:place]) for place in range(len(sizes))]
        for name, places in (
            ("number_places", kinds["number"]),
            ("boolean_places", kinds["boolean"]),
            ("missing_places", missing),
            ("category_places", kinds["category"]),
            ("category_offsets", offsets),
        ):
            whole = torch.tensor(places, dtype=torch.int64, device=device)
            self.register_buffer(name, whole, persistent=False)  # follows from the schema
        for name, values in (
            ("number_means", [columns[i].mean for i in kinds["number"]]),
            ("boolean_means", [columns[i].mean for i in kinds["boolean"]]),
            ("boolean_stds", [columns[i].std or 1.0 for i in kinds["boolean"]]),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=dtype, device=device))
        kwargs = {"device": device, "dtype": dtype}
        self.out_features = len(kinds["boolean"]) + len(missing) + len(sizes) * category_width
        self.numbers: nn.Module | None = None
        if kinds["number"]:
            self.numbers = encode_numbers([columns[i] for i in kinds["number"]], **kwargs)
            self.out_features += int(self.numbers.out_features)  # type: ignore[arg-type]
        self.embedding: nn.Embedding | None = None
        if sizes:
            self.embedding = nn.Embedding(sum(sizes), category_width, **kwargs)
            nn.init.normal_(self.embedding.weight, std=category_width**-0.5)

    def forward(self, rows: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch features"]:
        """Encode rows: numbers with NaN where missing, categories as whole numbers."""
        pieces = []
        if self.numbers is not None:
            pieces.append(self.numbers(_impute(rows[:, self.number_places], self.number_means)))
        if len(self.boolean_places):
            booleans = _impute(rows[:, self.boolean_places], self.boolean_means)
            pieces.append((booleans - self.boolean_means) / self.boolean_stds)
        if len(self.missing_places):
            pieces.append(torch.isnan(rows[:, self.missing_places]).to(rows.dtype))
        if self.embedding is not None:
            codes = rows[:, self.category_places].round().long() + self.category_offsets
            pieces.append(self.embedding(codes).flatten(1))
        return torch.cat(pieces, dim=1)


def _impute(values: Tensor, means: Tensor) -> Tensor:
    return torch.where(torch.isnan(values), means, values)
