"""Random changes to whole batches of numeric sequences that keep their class.

Paper:    jitter, rescale: Um et al. Data Augmentation of Wearable Sensor Data for Parkinson's
          Disease Monitoring using Convolutional Neural Networks. ICMI 2017, arXiv:1706.00527,
          section 3. mask_steps: Park et al. SpecAugment. Interspeech 2019, arXiv:1904.08779,
          section 2 (time masking). slide: the shift of Krizhevsky et al. NIPS 2012, in time.
Departs:  jitter is measured by each channel's deviation in the batch, and rescale stretches about
          its mean there: a unit's zero (kelvin, pascal) may lie far away, and means nothing. What
          mask_steps takes away becomes NaN, which networks for sequences read as missing; slide
          repeats a sequence's first or last step.
Notation: sequences are float, NaN where a value is missing and behind the end; B, C, T = batch,
          channels, steps.
"""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["jitter", "mask_steps", "rescale", "slide"]

Series = Float[Tensor, "batch channels steps"]


def jitter(x: Series, *, generator: torch.Generator | None = None, std: float = 0.05) -> Series:
    """Add Gaussian noise to every present value.

    Args:
        x: sequences.
        generator: source of the noise, on the device of `x`; torch's global one if None.
        std: standard deviation, in units of each channel's own over the batch.
    """
    spread = _mean(torch.square(x - _mean(x))).sqrt()  # (1, C, 1)
    drawn = torch.randn(x.shape, device=x.device, dtype=x.dtype, generator=generator)
    return x + std * spread * drawn


def rescale(x: Series, *, generator: torch.Generator | None = None, std: float = 0.1) -> Series:
    """Stretch each channel of each sequence about the channel's mean by a number near one.

    Args:
        x: sequences.
        generator: source of the numbers, on the device of `x`; torch's global one if None.
        std: standard deviation of the factors about 1.
    """
    B, C, _ = x.shape
    drawn = torch.randn(B, C, 1, device=x.device, dtype=x.dtype, generator=generator)
    mean = _mean(x)
    return mean + (x - mean) * (1 + std * drawn)


def slide(x: Series, *, generator: torch.Generator | None = None, reach: float = 1 / 16) -> Series:
    """Move each sequence by whole steps inside its own length, repeating its first or last step.

    Args:
        x: sequences.
        generator: source of the moves, on the device of `x`; torch's global one if None.
        reach: largest move, as a share of all steps; at least one step.
    """
    B, C, T = x.shape
    most = max(1, round(T * reach))
    by = torch.randint(-most, most + 1, (B, 1), device=x.device, generator=generator)
    place = torch.arange(T, device=x.device)
    length = _lengths(x)  # (B, 1)
    source = torch.minimum((place + by).clamp(min=0), (length - 1).clamp(min=0))
    source = torch.where(place < length, source, place)  # (B, T); padding stays where it is
    return x.gather(2, source.unsqueeze(1).expand(B, C, T))


def mask_steps(
    x: Series, *, generator: torch.Generator | None = None, share: float = 0.2
) -> Series:
    """Take a run of steps away from each sequence: they become missing.

    Args:
        x: sequences.
        generator: source of length and place, on the device of `x`; torch's global one if None.
        share: the longest run, as a share of each sequence's own steps, below 1.
    """
    B, _, T = x.shape
    drawn = torch.rand(2, B, 1, device=x.device, generator=generator)
    length = _lengths(x)
    run = (drawn[0] * share * length).floor()
    start = (drawn[1] * (length - run + 1)).floor()
    place = torch.arange(T, device=x.device)
    gone = (place >= start) & (place < start + run)  # (B, T)
    return x.masked_fill(gone.unsqueeze(1), torch.nan)


def _mean(x: Tensor) -> Tensor:
    """Mean of each channel's present values over the batch, (1, C, 1)."""
    n = (~torch.isnan(x)).sum(dim=(0, 2), keepdim=True).clamp(min=1)
    return x.nansum(dim=(0, 2), keepdim=True) / n


def _lengths(x: Tensor) -> Tensor:
    """Steps up to the last present value, (B, 1)."""
    T = x.shape[2]
    present = (~torch.isnan(x)).any(dim=1)  # (B, T)
    return (present * torch.arange(1, T + 1, device=x.device)).amax(dim=1, keepdim=True)
