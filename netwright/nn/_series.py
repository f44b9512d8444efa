"""Read numeric sequences that may end early or miss values, and sum them up.

What lies behind a sequence's end never
counts: it is set to zero before every layer, as a convolution's own padding is, and pools leave it
out, so that the answer does not depend on how far a sequence is padded.

Paper:    Schuster, Paliwal. Bidirectional Recurrent Neural Networks. IEEE Transactions on Signal
          Processing 45, 1997; Cho et al. EMNLP 2014, arXiv:1406.1078 (`SeriesGru`).
Departs:  means and maxima of the states are returned instead of the last ones.
Notation: `mask` = 1 inside a sequence; B, T, D = batch, steps, width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn._scale import check_statistics
from netwright.nn._series_blocks import Around
from netwright.nn._within import flip_within, keep_within, mean_within, within

__all__ = ["OverSteps", "SeriesGru", "StandardiseSeries"]

Device = torch.device | str | None


class StandardiseSeries(nn.Module):
    """Standardise each channel, put its mean where a value is missing, and say what was present.

    Attributes:
        out_features: channels that come out: one more than come in.
        mean: per channel, in its units; (channels, 1).
        std: per channel, in its units; (channels, 1).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Keep the statistics as buffers.

        Args:
            mean: one number per channel.
            std: one positive number per channel.
            device: where the buffers lie.
            dtype: of the buffers.

        Raises:
            ValueError: if the lengths differ or a deviation is not positive.
        """
        super().__init__()
        check_statistics(mean, std)
        kwargs = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        self.register_buffer("mean", torch.tensor(mean, **kwargs).view(-1, 1))
        self.register_buffer("std", torch.tensor(std, **kwargs).view(-1, 1))
        self.out_features = len(mean) + 1

    def forward(
        self, x: Float[Tensor, "batch channels steps"]
    ) -> Float[Tensor, "batch out_channels steps"]:
        """Return standardised channels, 0 where missing, and the share of channels present."""
        missing = torch.isnan(x)
        standard = (torch.where(missing, self.mean, x) - self.mean) / self.std
        present = (~missing).to(x.dtype).mean(dim=1, keepdim=True)
        return torch.cat([standard, present], dim=1)

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"channels={len(self.mean)}"


class OverSteps(nn.Module):
    """Chain layers over the steps of sequences, and average what the last one says.

    Attributes:
        strides: steps that become one, for each layer.
    """

    def __init__(
        self, front: nn.Module, layers: Sequence[nn.Module], strides: Sequence[int]
    ) -> None:
        """Keep the layers.

        Args:
            front: what reads the sequences, NaN and all: `StandardiseSeries`, or `LogMel`, of which
                the first stride is the step from frame to frame.
            layers: from (batch, channels, ..., steps) to the same with ceil(steps / stride) steps,
                centred on each stride-th. An `Around` is also told where sequences end.
            strides: of the front, then of each layer, at least 1.

        Raises:
            ValueError: if there is not one stride for the front and each layer.
        """
        super().__init__()
        if len(strides) != len(layers) + 1 or min(strides) < 1:
            raise ValueError(
                f"`strides` must be one positive number for the front and each of the "
                f"{len(layers)} layers; got {list(strides)}."
            )
        self.front = front
        self.layers = nn.ModuleList(layers)
        self.strides = tuple(strides)

    def forward(self, x: Float[Tensor, "batch channels steps"]) -> Float[Tensor, "batch features"]:
        """Return the means over each sequence's own steps."""
        mask = within(x)[..., :: self.strides[0]]
        states = self.front(x)
        for layer, stride in zip(self.layers, self.strides[1:], strict=True):
            states = keep_within(states, mask)
            states = layer(states, mask) if isinstance(layer, Around) else layer(states)
            mask = mask[..., ::stride] if stride > 1 else mask
        return mean_within(states, mask).flatten(1)


class SeriesGru(nn.Module):
    """Two GRUs over the steps, one from the end; mean and maximum of their states.

    Attributes:
        out_features: numbers that come out: four times the hidden width.
        stride: steps that the stem makes one.
    """

    def __init__(
        self,
        front: nn.Module,
        stem: nn.Module,
        width: int,
        *,
        hidden: int = 64,
        stride: int = 1,
        p_drop: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build both recurrences.

        Args:
            front: what reads the sequences, NaN and all.
            stem: from the front's channels to `width`, with ceil(steps / stride) steps.
            width: channels that leave the stem.
            hidden: length of each state.
            stride: steps that the stem makes one.
            p_drop: probability that a number that enters the recurrences is dropped while training.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.front, self.stem, self.stride = front, stem, stride
        self.drop = nn.Dropout(p_drop)
        self.forwards = nn.GRU(width, hidden, batch_first=True, **kwargs)
        self.backwards = nn.GRU(width, hidden, batch_first=True, **kwargs)
        self.out_features = 4 * hidden

    def forward(self, x: Float[Tensor, "batch channels steps"]) -> Float[Tensor, "batch features"]:
        """Summarise the states of each sequence's own steps; an empty sequence gives -1 and 0."""
        mask = within(x)
        steps = self.stem(keep_within(self.front(x), mask))
        mask = mask[..., :: self.stride] if self.stride > 1 else mask
        steps = self.drop(steps).transpose(1, 2)  # (B, T, width)
        onward, _ = self.forwards(steps)
        back, _ = self.backwards(flip_within(steps, mask))
        states = torch.cat([onward, back], dim=2)  # each at its own step: the pools ask no order
        inside = mask.transpose(1, 2) > 0  # (B, T, 1)
        # States lie in (-1, 1), so -1 never wins over a step.
        greatest = torch.where(inside, states, torch.full_like(states, -1.0)).amax(dim=1)
        return torch.cat([mean_within(states.transpose(1, 2), mask), greatest], dim=1)
