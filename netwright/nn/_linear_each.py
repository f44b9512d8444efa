"""As many linear maps as there are members: one for each column of a table, or of an ensemble."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["LinearEach"]


class LinearEach(nn.Module):
    """Map the vector of every member by a matrix and a bias of its own.

    Attributes:
        weight: (members, in_features, out_features).
        bias: (members, out_features).
    """

    def __init__(
        self,
        n_members: int,
        in_features: int,
        out_features: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Draw the weights as `torch.nn.Linear` does.

        Args:
            n_members: number of maps.
            in_features: length of the vectors that come in.
            out_features: length of the vectors that go out.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(n_members, in_features, out_features, **kwargs))
        self.bias = nn.Parameter(torch.empty(n_members, out_features, **kwargs))
        reach = 1 / math.sqrt(in_features)
        nn.init.uniform_(self.weight, -reach, reach)
        nn.init.uniform_(self.bias, -reach, reach)

    def forward(
        self, x: Float[Tensor, "batch members in_features"]
    ) -> Float[Tensor, "batch members out_features"]:
        """Return the mapped vectors."""
        mapped = torch.matmul(x.transpose(0, 1), self.weight)  # (members, batch, out_features)
        return mapped.transpose(0, 1) + self.bias

    def extra_repr(self) -> str:
        """Show the sizes."""
        members, inward, outward = self.weight.shape
        return f"n_members={members}, in_features={inward}, out_features={outward}"
