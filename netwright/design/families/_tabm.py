"""Parameter-efficient ensembles of multi-layer networks for tables.

Paper:    Gorishniy, Kotelnikov, Babenko. TabM: Advancing Tabular Deep Learning with
          Parameter-Efficient Ensembling. ICLR 2025, arXiv:2410.24959.
Departs:  see `nn.BatchEnsembleLinear`: while training, each example goes to one member.
Notation: `n_members` = k.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.data._schema import Schema
from netwright.design.families._ends import assemble, require_kind, scale_back
from netwright.design.families._numbers import encoder_of_numbers
from netwright.nn import (
    BatchEnsembleLinear,
    LinearEach,
    TableEncoder,
    mean_log_odds,
    mean_log_probabilities,
    spread,
)

__all__ = ["Ensemble", "tabm"]


class Ensemble(nn.Module):
    """Members that share weights; their predictions are averaged."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        target_kind: str,
        n_members: int,
        width: int,
        depth: int,
        p_drop: float,
    ) -> None:
        """Build the members.

        Args:
            in_features: length of the encoded row.
            out_features: outputs of the network.
            target_kind: of the task; decides how predictions are averaged.
            n_members: members of the ensemble.
            width: units of each layer.
            depth: number of hidden layers, at least 1.
            p_drop: dropout after each layer.
        """
        super().__init__()
        self.n_members = n_members
        self.target_kind = target_kind
        self.layers = nn.Sequential()
        for place in range(depth):
            features = in_features if place == 0 else width
            self.layers.extend(
                [
                    BatchEnsembleLinear(n_members, features, width, first=place == 0),
                    nn.ReLU(),
                    nn.Dropout(p_drop),
                ]
            )
        self.heads = LinearEach(n_members, width, out_features)

    def forward(self, encoded: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """Average the members; while training, ask one member about each row."""
        if self.training:
            dealt = self.heads(self.layers(spread(encoded, self.n_members)))
            return dealt.flatten(0, 1)[: len(encoded)]
        outputs = self.heads(self.layers(encoded.unsqueeze(1)))  # (batch, members, outputs)
        if self.target_kind == "class":
            return mean_log_probabilities(outputs)
        if self.target_kind == "labels":
            return mean_log_odds(outputs)
        return torch.mean(outputs, dim=1)


def tabm(
    schema: Schema,
    *,
    n_members: int = 16,
    width: int = 128,
    depth: int = 2,
    numbers: str = "piecewise",
    number_width: int = 12,
    category_width: int = 8,
    p_drop: float = 0.1,
) -> nn.Sequential:
    """Build an encoder of the columns and an ensemble on top.

    Args:
        schema: of the task; a table input.
        n_members: members of the ensemble.
        width: units of each layer.
        depth: number of hidden layers, at least 1.
        numbers: encoding of numbers: "standard", "piecewise" or "periodic".
        number_width: numbers that each number becomes; unused by "standard".
        category_width: length of a category's embedding.
        p_drop: dropout after each layer.

    Returns:
        A sequence: encode, ensemble(, denormalise).

    Raises:
        ValueError: if the input is no table, or `n_members` or `depth` is not positive.
    """
    require_kind(schema, "table", "tabm")
    if n_members < 1 or depth < 1:
        raise ValueError(f"`n_members` and `depth` must be positive; got {n_members} and {depth}.")
    encoder = TableEncoder(
        schema.input.columns,
        encode_numbers=encoder_of_numbers(numbers, number_width),
        category_width=category_width,
    )
    ensemble = Ensemble(
        encoder.out_features,
        schema.target.width,
        target_kind=schema.target.kind,
        n_members=n_members,
        width=width,
        depth=depth,
        p_drop=p_drop,
    )
    return assemble(("encode", encoder), ("ensemble", ensemble), *scale_back(schema))
