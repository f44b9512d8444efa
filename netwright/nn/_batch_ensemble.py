"""An ensemble whose members share their weights, but for scales and biases of their own.

Paper:    Gorishniy, Kotelnikov, Babenko. TabM: Advancing Tabular Deep Learning with
          Parameter-Efficient Ensembling. ICLR 2025, arXiv:2410.24959, section 3.
          Wen, Tran, Ba. BatchEnsemble. ICLR 2020, arXiv:2002.06715, equation 5.
Departs:  while training, each example is seen by one member alone (`spread`), as in BatchEnsemble,
          where TabM shows it to all of them: a step then costs 1 / k, and one output a row remains.
Notation: `n_members` = k, scale_in = r, scale_out = s, bias = b.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BatchEnsembleLinear", "mean_log_odds", "mean_log_probabilities", "spread"]


class BatchEnsembleLinear(nn.Module):
    """A linear layer of each member: `((x * scale_in) @ weight.T) * scale_out + bias`.

    Attributes:
        weight: shared by all members; (out_features, in_features).
        scale_in: (members, in_features).
        scale_out: (members, out_features).
        bias: (members, out_features).
    """

    def __init__(
        self,
        n_members: int,
        in_features: int,
        out_features: int,
        *,
        first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Draw the weights.

        Args:
            n_members: members of the ensemble.
            in_features: length of the vectors that come in.
            out_features: length of the vectors that go out.
            first: whether this is the ensemble's first layer, whose `scale_in` is drawn from
                {-1, 1} so that the members differ; all other scales start at 1.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        plain = nn.Linear(in_features, out_features, **kwargs)
        self.weight = plain.weight
        self.bias = nn.Parameter(plain.bias.detach().repeat(n_members, 1))
        signs = torch.randint(2, (n_members, in_features), device=device) * 2 - 1
        ones = torch.ones(n_members, in_features, **kwargs)
        self.scale_in = nn.Parameter(signs.to(ones) if first else ones)
        self.scale_out = nn.Parameter(torch.ones(n_members, out_features, **kwargs))

    def forward(
        self, x: Float[Tensor, "batch #members in_features"]
    ) -> Float[Tensor, "batch members out_features"]:
        """Return every member's output; an axis of one member is shown to all."""
        mapped = functional.linear(x * self.scale_in, self.weight)
        return mapped * self.scale_out + self.bias

    def extra_repr(self) -> str:
        """Show the sizes."""
        outward, inward = self.weight.shape
        return f"n_members={len(self.bias)}, in_features={inward}, out_features={outward}"


def spread(x: Float[Tensor, "batch features"], n_members: int) -> Float[Tensor, "rows members f"]:
    """Deal the rows of a batch out to the members: row i goes to member i modulo `n_members`.

    Args:
        x: a batch in random order.
        n_members: members of the ensemble.

    Returns:
        The rows, in order when the first two axes are joined; zeros fill the end.
    """
    missing = -len(x) % n_members
    return functional.pad(x, (0, 0, 0, missing)).unflatten(0, (-1, n_members))


def mean_log_probabilities(
    logits: Float[Tensor, "batch members classes"],
) -> Float[Tensor, "batch classes"]:
    """Average the members' class probabilities, and return logits of the average.

    Args:
        logits: of every member.
    """
    n_members = torch.tensor(logits.shape[1], dtype=logits.dtype, device=logits.device)
    return functional.log_softmax(logits, dim=2).logsumexp(dim=1) - n_members.log()


def mean_log_odds(logits: Float[Tensor, "batch members labels"]) -> Float[Tensor, "batch labels"]:
    """Average the members' label probabilities, and return the log odds of the average.

    Args:
        logits: of every member.
    """
    yes = functional.logsigmoid(logits).logsumexp(dim=1)
    return yes - functional.logsigmoid(-logits).logsumexp(dim=1)
