"""Hundreds of fixed kernels over a sequence, and a linear model of how often each responds.

Paper:    Dempster, Schmidt, Webb. MiniRocket: A Very Fast (Almost) Deterministic Transform for Time
          Series Classification. KDD 2021, arXiv:2012.08791, section 3 (84 kernels of nine weights
          -1 and 2, dilations by powers of two, shares of positive values, a ridge classifier).
Departs:  a share of positive values is the mean of a steep sigmoid, so that gradients pass and two
          runtimes agree; biases are quantiles over 128 training rows instead of one; the padding is
          always there. A third of the kernels also read which values are present, where training
          rows have gaps. The ridge's scores are scaled by what suits held-out rows best, so that
          they are logits, and may be trained on.
Notation: `n_biases` = features of each kernel and dilation; `ridge` = lambda.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from netwright.nn._places import spread_places
from netwright.nn._within import keep_within, within

__all__ = ["KernelBank", "ridge_scores"]

Device = torch.device | str | None
_STEEPNESS = 10.0  # of the sigmoid, in deviations of a kernel's response
_MOST_ROWS = 2048  # that the ridge is solved on: it takes the cube of them
_MOST_BYTES = 180_000_000  # that a piece of the rows takes; what convolutions copy comes on top


class KernelBank(nn.Module):
    """Shares of steps at which each of 84 kernels, at each dilation, responds; then a linear map.

    Attributes:
        dilations: steps between two weights of a kernel.
        mix: how each kernel weighs the channels, for each dilation, what is present last;
            (dilations * 84, channels, 1).
        kernels: nine weights each; (84, 1, 9).
        biases: thresholds, of each kernel and dilation; (dilations, 84, n_biases).
        widths: deviation of each kernel's response; (dilations, 84, 1).
        level: mean of each feature over training rows.
        spread: its standard deviation.
    """

    mix: Tensor
    kernels: Tensor
    biases: Tensor
    widths: Tensor
    level: Tensor
    spread: Tensor

    def __init__(
        self,
        front: nn.Module,
        in_channels: int,
        out_features: int,
        *,
        dilations: Sequence[int] = (1, 2, 4),
        n_biases: int = 4,
        is_class: bool = True,
        centre: Sequence[float] = (),
        scale: Sequence[float] = (),
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Draw which channels each kernel reads.

        Args:
            front: what reads the sequences, NaN and all, and says last what is present, as
                `StandardiseSeries` does.
            in_channels: that leave the front, at least 2.
            out_features: outputs of the linear map.
            dilations: steps between two weights of a kernel, one number at least.
            n_biases: thresholds of each kernel and dilation.
            is_class: whether targets are classes or labels, else values.
            centre: mean of each value; `initialise` takes it off the targets.
            scale: deviation of each value; `initialise` divides by it.
            device: where parameters and buffers lie.
            dtype: of parameters and buffers.

        Raises:
            ValueError: if there is no dilation or no bias, or no channel beside the last.
        """
        super().__init__()
        if in_channels < 2:
            raise ValueError(
                f"`in_channels` must be at least 2, of which the last says what is present; got "
                f"{in_channels}."
            )
        if not dilations or min(dilations) < 1 or n_biases < 1:
            raise ValueError(
                f"`dilations` must be positive numbers, one at least, and `n_biases` positive; got "
                f"{list(dilations)} and {n_biases}."
            )
        kwargs = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        self.front, self.dilations, self.is_class = front, tuple(dilations), is_class
        self.centre, self.scale = tuple(centre), tuple(scale)
        D = len(self.dilations)
        patterns = torch.full((84, 1, 9), -1.0)
        for place, twos in enumerate(itertools.combinations(range(9), 3)):
            patterns[place, 0, list(twos)] = 2.0
        # About a third of the channels each, one at least: kernels that read all see only sums. One
        # beside the last, what is present: that says the same of every sequence without gaps.
        drawn = torch.rand(D * 84, in_channels, 1)
        least = drawn[:, :-1].amin(dim=1, keepdim=True)
        read = (drawn <= 1 / 3) | (drawn == least)
        self.register_buffer("kernels", patterns.to(**kwargs))
        self.register_buffer("mix", _weighed(read).to(**kwargs))
        self.register_buffer(
            "biases", torch.linspace(-3, 3, n_biases).repeat(D, 84, 1).to(**kwargs)
        )
        self.register_buffer("widths", torch.full((D, 84, 1), 3.0, **kwargs))
        self.register_buffer("level", torch.full((D * 84 * n_biases,), 0.5, **kwargs))
        self.register_buffer("spread", torch.full((D * 84 * n_biases,), 0.3, **kwargs))
        self.head = nn.Linear(D * 84 * n_biases, out_features, **kwargs)

    def responses(
        self, states: Float[Tensor, "batch channels steps"], place: int
    ) -> Float[Tensor, "batch kernels steps"]:
        """Return what each kernel says at one of the dilations.

        Args:
            states: of the front, zero behind the end.
            place: of the dilation.
        """
        dilation = self.dilations[place]
        mixed = functional.conv1d(states, self.mix[place * 84 : (place + 1) * 84])
        return functional.conv1d(
            mixed, self.kernels, padding=4 * dilation, dilation=dilation, groups=84
        )

    def features(
        self, x: Float[Tensor, "batch in_channels steps"]
    ) -> Float[Tensor, "batch features"]:
        """Return the share of steps at which each kernel exceeds each of its biases.

        Args:
            x: sequences, NaN where a value is missing.

        Cost: about 240 MB without gradients, or what a single row takes, however many rows: they
            are read in pieces, except where a compiler or an exporter follows.
        """
        if torch.compiler.is_compiling():  # the number of rows is free there
            return self._shares(x)
        # A piece's responses are there four times: their distances from a bias, sigmoids of them,
        # and what of those lies within; so are the channels, missing and standardised.
        per_row = 4 * (84 + self.mix.shape[1]) * x.shape[2] * x.element_size()
        parts = x.split(max(1, _MOST_BYTES // max(1, per_row)))
        return torch.cat([self._shares(part) for part in parts])

    def _shares(self, x: Tensor) -> Tensor:
        mask = within(x)
        states = keep_within(self.front(x), mask)
        n_steps = mask.sum(dim=2).clamp(min=1)  # (B, 1)
        shares = []
        for place in range(len(self.dilations)):
            found = self.responses(states, place)
            steep = _STEEPNESS / self.widths[place]  # (84, 1)
            for bias in self.biases[place].unbind(dim=1):
                above = torch.sigmoid((found - bias[:, None]) * steep)
                shares.append((above * mask).sum(dim=2) / n_steps)
        return torch.cat(shares, dim=1)

    def forward(
        self, x: Float[Tensor, "batch in_channels steps"]
    ) -> Float[Tensor, "batch out_features"]:
        """Return the linear map of the standardised shares."""
        return self.head((self.features(x) - self.level) / self.spread)

    @torch.no_grad()
    def initialise(self, split: Any) -> None:
        """Set biases from quantiles, and the linear map by ridge regression, on training rows.

        Where no value is missing inside any of them, no kernel reads any more what is present.

        Args:
            split: of training; 2,048 of its rows at equal distances are read.

        Cost: the transform of the rows, and the eigenvalues of a matrix as wide as they are many.
        """
        places = spread_places(len(split), _MOST_ROWS)
        rows = [split.take(part).to(self.level) for part in places.split(128)]
        if not any((torch.isnan(x) & (within(x) > 0)).any() for x in rows):
            read = self.mix > 0
            read[:, -1] = False
            self.mix.copy_(_weighed(read))
        self._set_biases(split.take(places[:: math.ceil(len(places) / 128)]).to(self.level))
        shares = torch.cat([self.features(x) for x in rows]).double()
        spread = shares.std(dim=0, correction=0)
        used = spread > 1e-6
        self.level.copy_(shares.mean(dim=0))
        self.spread.copy_(torch.where(used, spread, torch.ones_like(spread)))
        standard = (shares - shares.mean(dim=0)) / self.spread.double()
        y = split.y[places].to(standard.device)
        if self.is_class:
            wide = functional.one_hot(y, self.head.out_features) if y.ndim == 1 else y
            targets = 2.0 * wide.double() - 1
        else:
            targets = y.double()
            if self.centre:
                targets = (targets - targets.new_tensor(self.centre)) / targets.new_tensor(
                    self.scale
                )
        weight, bias, held_out = ridge_scores(standard, targets)
        factor = _best_factor(held_out, y) if self.is_class else 1.0
        self.head.weight.copy_(factor * weight.T)
        self.head.bias.copy_(factor * bias)

    def _set_biases(self, x: Tensor) -> None:
        mask = within(x)
        states = keep_within(self.front(x), mask)
        inside = mask[:, 0] > 0  # (B, T)
        count = self.biases.shape[2]
        # Places between the ends, as of the golden ratio's low-discrepancy sequence in the paper,
        # but evenly: quantiles (k + 1/2) / count.
        levels = (torch.arange(count, device=x.device).to(x.dtype) + 0.5) / count
        for place in range(len(self.dilations)):
            found = self.responses(states, place).transpose(1, 2)[inside]  # (steps, 84)
            found = found[:: math.ceil(len(found) / 4096)] if len(found) else found.new_zeros(1, 84)
            self.biases[place] = torch.quantile(found, levels, dim=0).T
            spread = found.std(dim=0, correction=0)
            self.widths[place, :, 0] = torch.where(spread > 1e-6, spread, torch.ones_like(spread))

    def extra_repr(self) -> str:
        """Show the dilations."""
        return f"dilations={self.dilations}, n_biases={self.biases.shape[2]}"


def _weighed(read: Tensor) -> Tensor:
    """Weigh what each kernel reads so that a sum of independent channels deviates as one does."""
    return read / read.sum(dim=1, keepdim=True).sqrt()


def ridge_scores(
    x: Float[Tensor, "rows features"], y: Float[Tensor, "rows outputs"]
) -> tuple[
    Float[Tensor, "features outputs"], Float[Tensor, "outputs"], Float[Tensor, "rows outputs"]
]:
    """Solve ridge regression with the penalty that predicts each row best from all the others.

    Args:
        x: centred features.
        y: targets.

    Returns:
        Weights, intercepts, and what the chosen penalty predicts for each row without it.

    Cost: the eigenvalues of a matrix of rows x rows.
    """
    bias = y.mean(dim=0)
    centred = y - bias
    values, vectors = torch.linalg.eigh(x @ x.T)
    values = values.clamp(min=0)
    turned = vectors.T @ centred
    best: tuple[float, Tensor, Tensor] | None = None
    for ridge in torch.logspace(-2, 5, 15, dtype=x.dtype).tolist():
        # The intercept is one direction more, with a penalty of 0: it takes 1 / n of each row.
        inverse = 1 / (values + ridge)
        dual = vectors @ (inverse[:, None] * turned)
        own = (vectors.square() * inverse).sum(dim=1) - 1 / (len(x) * ridge)
        held_out = y - dual / own.clamp(min=1e-12)[:, None]
        error = float((held_out - y).square().mean())
        if best is None or error < best[0]:
            best = error, dual, held_out
    assert best is not None
    return x.T @ best[1], bias, best[2]


def _best_factor(scores: Tensor, y: Tensor) -> float:
    """Find the factor that makes logits of scores, by the loss on them."""
    factors = torch.logspace(-1, 1.5, 26).tolist()

    def loss(factor: float) -> float:
        logits = factor * scores
        if y.ndim == 1:
            return float(functional.cross_entropy(logits, y))
        return float(functional.binary_cross_entropy_with_logits(logits, y.double()))

    return min(factors, key=loss)
