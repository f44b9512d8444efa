"""A recurrent network that decides one decision after the other.

Paper:    Zoph, Le. Neural Architecture Search with Reinforcement Learning. ICLR 2017,
          arXiv:1611.01578, section 3.1 and figure 2.
Departs:  one LSTM layer instead of two.
Notation: codes = a_1:T, log_p = log P(a_1:T; theta_c).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from netwright import _rng
from netwright.design.spaces._space import Space

__all__ = ["Controller", "Decided", "clipped_loss", "score_function_loss"]


@dataclass(frozen=True, eq=False)
class Decided:
    """What a controller thinks of codes.

    Attributes:
        log_p: logarithm of the probability of each code; (codes,).
        entropy: of the decisions along each code, in nats; (codes,).
        probabilities: of each option given the decisions before, a matrix (codes, options) for each
            decision.
    """

    log_p: Tensor
    entropy: Tensor
    probabilities: tuple[Tensor, ...]


class Controller(nn.Module):
    """A distribution over the codes of a space.

    Attributes:
        sizes: number of options of each decision.
    """

    def __init__(self, space: Space, *, hidden: int, seed: int) -> None:
        """Build the network; at first all options are about as likely.

        Args:
            space: whose decisions it takes.
            hidden: width of the LSTM's state.
            seed: of the initial weights.
        """
        super().__init__()
        self.sizes = tuple(len(decision.options) for decision in space.decisions)
        with _rng.seeded(seed):
            self.start = nn.Parameter(torch.zeros(hidden))
            self.options = nn.ModuleList(nn.Embedding(size, hidden) for size in self.sizes)
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
            self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in self.sizes)
            for weight in self.parameters():
                nn.init.uniform_(weight, -0.08, 0.08)
        sizes = torch.tensor(self.sizes)
        self._first = sizes.cumsum(0) - sizes  # of a place's options among those of all places
        places = torch.arange(len(sizes))
        self._own = places.repeat_interleave(sizes) == places[:, None]  # (len, options of all)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Int[Tensor, "n len"]:
        """Draw codes, each with its probability.

        Args:
            n: how many.
            generator: source of randomness.
        """
        codes = torch.zeros(n, len(self.sizes), dtype=torch.int64)
        step = self.start.expand(n, -1)
        w_ih, w_hh, b_ih, b_hh = self.lstm.parameters()
        state = torch.zeros_like(step), torch.zeros_like(step)
        for place in range(len(self.sizes)):
            state = torch.lstm_cell(step, state, w_ih, w_hh, b_ih, b_hh)
            chances = self.heads[place](state[0]).softmax(dim=1)
            codes[:, place] = torch.multinomial(chances, 1, generator=generator)[:, 0]
            step = self.options[place](codes[:, place])
        return codes

    def forward(self, codes: Int[Tensor, "n len"]) -> Decided:
        """Say how probable codes are.

        Args:
            codes: an option of each decision.
        """
        n = len(codes)
        every = torch.cat(list(self.options.parameters()))
        known = functional.embedding(codes[:, :-1] + self._first[:-1], every)
        hidden, _ = self.lstm(torch.cat([self.start.expand(n, 1, -1), known], dim=1))
        weight = torch.cat([each for each in self.heads.parameters() if each.ndim == 2])
        bias = torch.cat([each for each in self.heads.parameters() if each.ndim == 1])
        # All heads at every place; a place's own options are all that counts there.
        scores = functional.linear(hidden, weight, bias).masked_fill(~self._own, -math.inf)
        logarithms = scores.log_softmax(dim=2)  # (n, len, options of all places)
        log_p = logarithms.gather(2, (codes + self._first)[:, :, None]).sum(dim=(1, 2))
        finite = logarithms.masked_fill(~self._own, 0.0)
        entropy = -(finite.exp() * finite).sum(dim=(1, 2))
        chances = logarithms.detach().exp()
        spans = zip(self._first.tolist(), self.sizes, strict=True)
        probabilities = (chances[:, k, at : at + size] for k, (at, size) in enumerate(spans))
        return Decided(log_p, entropy, tuple(probabilities))


def score_function_loss(
    log_p: Float[Tensor, "n"], advantages: Float[Tensor, "n"]
) -> Float[Tensor, ""]:
    """Return what has the gradient of minus the expected reward, in expectation.

    Args:
        log_p: of each code that was drawn.
        advantages: its reward, less a baseline that does not depend on it.
    """
    return -(advantages * log_p).mean()


def clipped_loss(
    log_p: Float[Tensor, "n"],
    before: Float[Tensor, "n"],
    advantages: Float[Tensor, "n"],
    *,
    clip: float,
) -> Float[Tensor, ""]:
    """Return the clipped surrogate of proximal policy optimisation (Schulman et al., equation 7).

    Args:
        log_p: of each code now.
        before: the same when it was drawn.
        advantages: its reward, less a baseline.
        clip: how far the ratio of the two probabilities may leave 1 to any gain.
    """
    ratio = (log_p - before).exp()
    kept = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, kept * advantages).mean()
