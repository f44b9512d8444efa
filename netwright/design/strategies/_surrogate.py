"""A small ensemble that predicts how good a design is from its code.

Paper:    Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang, Murphy. Progressive Neural
          Architecture Search. ECCV 2018, arXiv:1712.00559, section 4.2 (MLP-ensemble predictor).
Departs:  members see all rows and differ in their first weights; the paper's see four fifths each.
          Codes are one-hot rows, not embeddings.
Notation: standings = y.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from netwright import _rng

__all__ = ["Surrogate"]


class Surrogate:
    """Several networks of one hidden layer, trained together by batched products."""

    def __init__(self, width: int, *, members: int = 5, hidden: int = 32, seed: int = 0) -> None:
        """Set up the shapes.

        Args:
            width: numbers of an encoded code.
            members: networks in the ensemble.
            hidden: units of each.
            seed: of the first weights.

        Raises:
            ValueError: if a number is not positive.
        """
        if min(width, members, hidden) < 1:
            raise ValueError(
                f"`width`, `members` and `hidden` must be positive; got {width}, {members} and "
                f"{hidden}."
            )
        self._shape, self._seed = (members, width, hidden), seed
        self._weights: list[Tensor] = []

    def fit(
        self,
        rows: Float[Tensor, "rows width"],
        standings: Float[Tensor, "rows"],
        *,
        steps: int = 80,
        learning_rate: float = 2e-2,
        weight_decay: float = 1e-2,
    ) -> None:
        """Train from scratch on what is known.

        Args:
            rows: encoded codes.
            standings: how good each was.
            steps: of Adam, on all rows.
            learning_rate: of Adam.
            weight_decay: decoupled.
        """
        members, width, hidden = self._shape
        generator = _rng.child(self._seed, "surrogate")

        def draw(*shape: int, std: float) -> Tensor:
            return (torch.randn(shape, generator=generator) * std).requires_grad_(True)

        self._weights = [
            draw(members, width, hidden, std=width**-0.5),
            draw(members, 1, hidden, std=0.1),
            draw(members, hidden, 1, std=hidden**-0.5),
            torch.zeros(members, 1, 1, requires_grad=True),
        ]
        self._shift = standings.mean().item()
        self._scale = max(standings.std(correction=0).item(), 1e-6)
        wanted = (standings - self._shift) / self._scale
        optimizer = torch.optim.AdamW(
            self._weights, lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        for _ in range(steps):
            loss = (self._outputs(rows) - wanted).square().mean(dim=1).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def predict(
        self, rows: Float[Tensor, "rows width"]
    ) -> tuple[Float[Tensor, "rows"], Float[Tensor, "rows"]]:
        """Return the members' mean and their standard deviation, in units of the standings.

        Args:
            rows: encoded codes.

        Raises:
            RuntimeError: if `fit` was not called.
        """
        if not self._weights:
            raise RuntimeError("Call `fit` before `predict`.")
        found = self._outputs(rows) * self._scale + self._shift  # (members, rows)
        return found.mean(dim=0), found.std(dim=0, correction=0)

    def _outputs(self, rows: Tensor) -> Tensor:
        first, bias, second, shift = self._weights
        inner = torch.relu(rows @ first + bias)  # (members, rows, hidden)
        return (inner @ second + shift).squeeze(2)
