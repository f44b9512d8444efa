"""Hear a sequence as a person does: the logarithm of its power in bands of equal pitch.

Paper:    Stevens, Volkmann, Newman. A Scale for the Measurement of the Psychological Magnitude
          Pitch. JASA 8, 1937; the formula is O'Shaughnessy's. Speech Communication. 1987, page 150
          (mel = 2595 log10(1 + f / 700)).
          Davis, Mermelstein. Comparison of Parametric Representations for Monosyllabic Word
          Recognition. IEEE Transactions on ASSP 28, 1980, section 2 (triangular bands).
          Park et al. SpecAugment. Interspeech 2019, arXiv:1904.08779, section 2 (`BandDropout`).
Departs:  the Fourier transform is a convolution with fixed sines and cosines, so that every runtime
          computes it; frames are centred on each `hop`-th step; power is divided by what white
          noise of unit deviation has, so that the floor means the same for every window. A band
          that is left out is set to its mean.
Notation: `window` = N, `hop` = steps between frames, `floor` = the least power, of that of noise;
          F = `n_mask` is drawn from up to that many bands.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn._places import spread_places
from netwright.nn._scale import check_statistics
from netwright.nn._within import within

__all__ = ["BandDropout", "LogMel", "mel_bands"]

Device = torch.device | str | None


def mel_bands(
    n_bands: int, window: int, rate: float, *, low: float = 0.0, high: float | None = None
) -> Float[Tensor, "bands bins"]:
    """Return triangular weights of each band, at equal distances on the mel scale.

    Args:
        n_bands: number of bands.
        window: steps in a window; there are window / 2 + 1 bins.
        rate: steps a second.
        low: where the first band begins, in hertz.
        high: where the last band ends, in hertz; half of `rate` if None.

    Raises:
        ValueError: if there is no room between `low` and `high`, or no band.
    """
    high = rate / 2 if high is None else high
    if n_bands < 1 or not 0 <= low < high <= rate / 2:
        raise ValueError(
            f"`n_bands` must be positive, and 0 <= `low` < `high` <= {rate / 2:g} Hz, half the "
            f"`rate`; got {n_bands}, {low:g} and {high:g}."
        )
    ends = torch.tensor([_mel(low), _mel(high)], dtype=torch.float64)
    pitch = torch.linspace(float(ends[0]), float(ends[1]), n_bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (pitch / 2595) - 1)  # hertz
    bins = torch.arange(window // 2 + 1, dtype=torch.float64) * rate / window
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)  # (bands, bins)


class LogMel(nn.Module):
    """Log-mel spectrogram of each channel, standardised band by band.

    Attributes:
        n_bands: bands that come out for each channel.
        hop: steps between frames.
        mean: per channel, in its units; (channels, 1).
        std: per channel, in its units; (channels, 1).
        waves: window times cosines, then sines; (2 * bins, 1, window).
        bands: weights of bins in each band; (bands, bins, 1).
        level: mean of each band, natural logarithm; (bands, 1).
        spread: standard deviation of each band, likewise; (bands, 1).
    """

    mean: Tensor
    std: Tensor
    waves: Tensor
    bands: Tensor
    level: Tensor
    spread: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        rate: float,
        window: int,
        hop: int,
        n_bands: int = 40,
        floor: float = 1e-4,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Compute the fixed waves and bands.

        Args:
            mean: of each channel.
            std: of each channel, positive.
            rate: steps a second.
            window: steps of a window, even, at least 4: of 2, no bin lies inside a band.
            hop: steps between frames.
            n_bands: mel bands between 0 Hz and half the rate; those without a bin are left out.
            floor: power that is added to a band's, as a share of white noise of unit deviation.
            device: where the buffers lie.
            dtype: of the buffers.

        Raises:
            ValueError: if `window` is odd or below 4, `hop`, `floor` or `n_bands` is not positive,
                or `mean` and `std` do not fit.
        """
        super().__init__()
        if window < 4 or window % 2 or hop < 1 or not floor > 0:
            raise ValueError(
                f"`window` must be even and at least 4, `hop` and `floor` positive; got {window}, "
                f"{hop} and {floor}."
            )
        check_statistics(mean, std)
        kwargs = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        self.rate, self.window, self.hop, self.floor = rate, window, hop, floor
        self.asked_bands = n_bands
        step = torch.arange(window, dtype=torch.float64)
        shape = 0.5 - 0.5 * torch.cos(2 * math.pi * step / window)  # Hann's window
        bands = mel_bands(n_bands, window, rate)
        bands = bands[bands.sum(dim=1) > 0]
        used = int(bands.sum(dim=0).nonzero().max()) + 1  # bins above that no band hears
        angle = 2 * math.pi * torch.arange(used, dtype=torch.float64)[:, None] * step / window
        scale = shape.square().sum().sqrt()
        waves = torch.cat([angle.cos(), angle.sin()]) * shape / scale
        bands = bands[:, :used] / bands[:, :used].sum(dim=1, keepdim=True)
        self.n_bands = len(bands)
        self.register_buffer("mean", torch.tensor(mean, **kwargs).view(-1, 1))
        self.register_buffer("std", torch.tensor(std, **kwargs).view(-1, 1))
        self.register_buffer("waves", waves.unsqueeze(1).to(**kwargs))
        self.register_buffer("bands", bands.unsqueeze(2).to(**kwargs))
        self.register_buffer("level", torch.full((self.n_bands, 1), -2.0, **kwargs))
        self.register_buffer("spread", torch.full((self.n_bands, 1), 2.0, **kwargs))
        half = window // 2
        self.pad = nn.ConstantPad1d((half, half - 1), 0.0)  # frames are centred; ceil(T / hop)

    def power(
        self, x: Float[Tensor, "batch channels steps"]
    ) -> Float[Tensor, "batch channels bands frames"]:
        """Return the logarithm of each band's power, before standardising.

        Args:
            x: sequences, NaN where a value is missing.
        """
        B, C, T = x.shape
        sound = (torch.where(torch.isnan(x), self.mean, x) - self.mean) / self.std
        parts = nn.functional.conv1d(
            self.pad(sound.reshape(B * C, 1, T)), self.waves, stride=self.hop
        )
        cosines, sines = parts.chunk(2, dim=1)
        found = nn.functional.conv1d(cosines.square() + sines.square(), self.bands)
        found = (found + self.floor).log()
        return found.reshape(B, C, self.n_bands, -1)

    def forward(
        self, x: Float[Tensor, "batch channels steps"]
    ) -> Float[Tensor, "batch channels bands frames"]:
        """Return standardised log-mel frames."""
        return (self.power(x) - self.level) / self.spread

    @torch.no_grad()
    def initialise(self, split: Any) -> None:
        """Set mean and deviation of each band from training rows.

        Args:
            split: of training; 1,024 of its rows at equal distances are read.
        """
        n = first = second = 0.0
        for places in spread_places(len(split), 1024).split(128):
            x = split.take(places).to(self.level)
            found = self.power(x).double()  # float64: sums over some hundred thousand frames
            mask = within(x)[..., :: self.hop].unsqueeze(2).double()
            n = n + mask.sum() * found.shape[1]
            first = first + (found * mask).sum(dim=(0, 1, 3))
            second = second + (found.square() * mask).sum(dim=(0, 1, 3))
        n = torch.as_tensor(n).clamp(min=1)
        mean = torch.as_tensor(first) / n
        spread = (torch.as_tensor(second) / n - mean.square()).clamp(min=1e-4).sqrt()
        self.level.copy_(mean[:, None])
        self.spread.copy_(spread[:, None])

    def extra_repr(self) -> str:
        """Show bands, window and hop."""
        return f"n_bands={self.n_bands}, window={self.window}, hop={self.hop}"


class BandDropout(nn.Module):
    """Set a run of neighbouring bands to zero, their mean, while training."""

    def __init__(self, n_mask: int = 8) -> None:
        """Keep the widest run.

        Args:
            n_mask: most bands that are left out, at least 0.

        Raises:
            ValueError: if `n_mask` is negative.
        """
        super().__init__()
        if n_mask < 0:
            raise ValueError(f"`n_mask` must be at least 0; got {n_mask}.")
        self.n_mask = n_mask

    def forward(
        self, states: Float[Tensor, "batch channels bands frames"]
    ) -> Float[Tensor, "batch channels bands frames"]:
        """Return the frames, some of their bands 0; reads torch's global generator."""
        if not self.training or self.n_mask == 0:
            return states
        B, _, M, _ = states.shape
        width = torch.randint(0, min(self.n_mask, M) + 1, (B, 1), device=states.device)
        start = (torch.rand(B, 1, device=states.device) * (M - width + 1)).floor()
        place = torch.arange(M, device=states.device)
        kept = (place < start) | (place >= start + width)  # (B, M)
        return states * kept[:, None, :, None].to(states.dtype)

    def extra_repr(self) -> str:
        """Show the widest run."""
        return f"n_mask={self.n_mask}"


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
