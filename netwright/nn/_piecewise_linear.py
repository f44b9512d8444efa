"""Encode each number by how far it has climbed through the bins of its column.

Paper:    Gorishniy, Rubachev, Babenko. On Embeddings for Numerical Features in Tabular Deep
          Learning. NeurIPS 2022, arXiv:2203.05556. Equations 1 and 2 (PLE), then a linear map of
          each column (section 3.2, without activation as in TabM, arXiv:2410.24959).
Departs:  bins come from the quantiles of the schema, thinned to `n_bins`; equal quantiles are
          merged; a constant column has one bin of width 1.
Notation: edges = b_0 .. b_T, `width` = d.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn._columns import ColumnLike
from netwright.nn._linear_each import LinearEach

__all__ = ["PiecewiseLinear"]


class PiecewiseLinear(nn.Module):
    """Piecewise-linear encoding of every column, mapped to `width` numbers a column.

    Attributes:
        out_features: numbers that come out, over all columns.
        lower: lower edge of each bin, in the column's units; (columns, bins).
        reach: width of each bin, in the column's units; (columns, bins).
        floor: least value of a bin's entry: 0, or minus infinity for a column's first bin.
        ceiling: greatest value of a bin's entry: 1, or infinity for a column's last bin.
    """

    lower: Tensor
    reach: Tensor
    floor: Tensor
    ceiling: Tensor

    def __init__(
        self,
        columns: Sequence[ColumnLike],
        *,
        width: int = 16,
        n_bins: int = 48,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Lay the bins out.

        Args:
            columns: the columns to encode, at least one; their quantiles are used.
            width: numbers that each column becomes.
            n_bins: bins of a column at most.
            device: where parameters and buffers lie.
            dtype: of parameters and buffers.

        Raises:
            ValueError: if there is no column or `n_bins` is not positive.
        """
        super().__init__()
        if not columns or n_bins < 1:
            raise ValueError(
                f"`columns` and `n_bins` must not be empty; got {len(columns)} columns and "
                f"{n_bins} bins."
            )
        edges = [_edges(column, n_bins) for column in columns]
        deepest = max(len(e) for e in edges) - 1
        # A bin that a column does not have is clamped to 0.
        lower, reach, floor, ceiling = (
            torch.full((len(columns), deepest), fill, dtype=torch.float64)
            for fill in (0.0, 1.0, 0.0, 0.0)
        )
        for row, found in enumerate(edges):
            for place, (left, right) in enumerate(pairwise(found)):
                lower[row, place] = left
                reach[row, place] = right - left
                ceiling[row, place] = 1.0
            floor[row, 0] = -torch.inf
            ceiling[row, len(found) - 2] = torch.inf
        dtype = dtype or torch.get_default_dtype()
        for name, values in (
            ("lower", lower),
            ("reach", reach),
            ("floor", floor),
            ("ceiling", ceiling),
        ):
            self.register_buffer(name, values.to(dtype).to(device))
        self.out_features = len(columns) * width
        self.mix = LinearEach(len(columns), deepest, width, device=device, dtype=dtype)

    def encode(self, x: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch columns bins"]:
        """Return the encoding itself (equation 1), before the linear map.

        Args:
            x: numbers in the columns' own units, without missing values.
        """
        climbed = (x.unsqueeze(-1) - self.lower) / self.reach
        return torch.minimum(torch.maximum(climbed, self.floor), self.ceiling)

    def forward(self, x: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch features"]:
        """Encode numbers in the columns' own units, without missing values."""
        return self.mix(self.encode(x)).flatten(1)


def _edges(column: ColumnLike, n_bins: int) -> list[float]:
    inner = [q for q in column.quantiles if column.minimum < q < column.maximum]
    if len(inner) > n_bins - 1:  # keep evenly spaced ones
        inner = [inner[(2 * i + 1) * len(inner) // (2 * n_bins - 2)] for i in range(n_bins - 1)]
    edges = sorted({column.minimum, *inner, column.maximum})
    return edges if len(edges) > 1 else [edges[0], edges[0] + 1.0]
