"""Encode each number by sines and cosines whose frequencies are learned.

Paper:    Gorishniy, Rubachev, Babenko. On Embeddings for Numerical Features in Tabular Deep
          Learning. NeurIPS 2022, arXiv:2203.05556. Equation 5 and PLR of section 3.4.
Departs:  nothing.
Notation: `n_frequencies` = k, `frequency_std` = sigma, `width` = d, frequencies = c.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn._columns import ColumnLike
from netwright.nn._linear_each import LinearEach

__all__ = ["Periodic", "Standardise"]


class Standardise(nn.Module):
    """Subtract each column's mean and divide by its standard deviation.

    Attributes:
        out_features: numbers that come out: one a column.
        mean: per column, in its units.
        std: per column, in its units.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        columns: Sequence[ColumnLike],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Keep the statistics as buffers.

        Args:
            columns: the columns to standardise.
            device: where the buffers lie.
            dtype: of the buffers.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        self.register_buffer("mean", torch.tensor([c.mean for c in columns], **kwargs))
        self.register_buffer("std", torch.tensor([c.std or 1.0 for c in columns], **kwargs))
        self.out_features = len(columns)

    def forward(self, x: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch columns"]:
        """Standardise numbers in the columns' own units, without missing values."""
        return (x - self.mean) / self.std


class Periodic(nn.Module):
    """PLR: periodic encoding, a linear map of each column, a ReLU.

    Attributes:
        out_features: numbers that come out, over all columns.
        frequencies: in cycles per standard deviation of the column; (columns, n_frequencies).
    """

    def __init__(
        self,
        columns: Sequence[ColumnLike],
        *,
        width: int = 16,
        n_frequencies: int = 24,
        frequency_std: float = 0.1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Draw the frequencies.

        Args:
            columns: the columns to encode.
            width: numbers that each column becomes.
            n_frequencies: frequencies a column.
            frequency_std: standard deviation of the first frequencies, in cycles per standard
                deviation of the column.
            device: where parameters and buffers lie.
            dtype: of parameters and buffers.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.standardise = Standardise(columns, **kwargs)
        self.frequencies = nn.Parameter(
            frequency_std * torch.randn(len(columns), n_frequencies, **kwargs)
        )
        self.mix = LinearEach(len(columns), 2 * n_frequencies, width, **kwargs)
        self.out_features = len(columns) * width

    def encode(self, x: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch columns waves"]:
        """Return the sines and then the cosines of each column (equation 5).

        Args:
            x: numbers in the columns' own units, without missing values.
        """
        angle = 2 * math.pi * self.standardise(x).unsqueeze(-1) * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def forward(self, x: Float[Tensor, "batch columns"]) -> Float[Tensor, "batch features"]:
        """Encode numbers in the columns' own units, without missing values."""
        return torch.relu(self.mix(self.encode(x))).flatten(1)
