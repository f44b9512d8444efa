"""Leave parts of a network or of its input out while training.

Paper:    Huang, Sun, Liu, Sedra, Weinberger. Deep Networks with Stochastic Depth. ECCV 2016,
          arXiv:1603.09382.
          Iyyer, Manjunatha, Boyd-Graber, Daume. Deep Unordered Composition Rivals Syntactic Methods
          for Text Classification. ACL 2015 (word dropout, `TokenDropout`).
Departs:  stochastic depth draws for each example instead of each batch, and divides by the survival
          probability while training, so that nothing changes at test time.
Notation: `p_drop` = 1 - p_l.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["StochasticDepth", "TokenDropout"]


class StochasticDepth(nn.Module):
    """Set a residual branch to zero for some examples while training."""

    def __init__(self, p_drop: float = 0.0) -> None:
        """Keep the probability.

        Args:
            p_drop: probability that an example loses the branch, in [0, 1).

        Raises:
            ValueError: if `p_drop` is outside [0, 1).
        """
        super().__init__()
        self.p_drop = _probability(p_drop)

    def forward(self, branch: Float[Tensor, "batch *rest"]) -> Float[Tensor, "batch *rest"]:
        """Return the branch, zero for the examples that lose it; reads torch's global generator."""
        if not self.training or self.p_drop == 0:
            return branch
        shape = (len(branch), *[1] * (branch.ndim - 1))
        kept = torch.rand(shape, dtype=branch.dtype, device=branch.device) >= self.p_drop
        return branch * kept / (1 - self.p_drop)

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p_drop={self.p_drop}"


class TokenDropout(nn.Module):
    """Replace tokens by padding while training."""

    def __init__(self, p_drop: float = 0.0) -> None:
        """Keep the probability.

        Args:
            p_drop: probability that a token is left out, in [0, 1).

        Raises:
            ValueError: if `p_drop` is outside [0, 1).
        """
        super().__init__()
        self.p_drop = _probability(p_drop)

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
        """Return the tokens, some of them 0; reads torch's global generator."""
        if not self.training or self.p_drop == 0:
            return tokens
        return tokens * (torch.rand(tokens.shape, device=tokens.device) >= self.p_drop)

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p_drop={self.p_drop}"


def _probability(p_drop: float) -> float:
    if not 0 <= p_drop < 1:
        raise ValueError(f"`p_drop` must be a probability below 1; got {p_drop}.")
    return p_drop
