"""The convolutional blocks of networks for numeric sequences.

Paper:    Wang, Yan, Oates. Time Series Classification from Scratch with Deep Neural Networks: A
          Strong Baseline. IJCNN 2017, arXiv:1611.06455, figure 1c (`series_residual`).
          Ismail Fawaz et al. InceptionTime: Finding AlexNet for Time Series Classification. 2020,
          arXiv:1909.04939, figure 1 (`Inception`, `inception_residual`).
          He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016,
          arXiv:1512.03385 (`frame_residual`, basic block).
Departs:  kernels are odd, so that each output is centred on a step; a block may shrink its
          sequence, and then its shortcut keeps every second step, at which the branch's outputs
          are centred: of the greater of two, zeros behind an odd end would win over negative ones.
          The last scale of a residual branch starts at zero (Goyal et al., arXiv:1706.02677). The
          inception module's input must not be negative, so that the zeros behind a sequence's end
          never win its maximum; its bottleneck is there whatever the number of channels.
Notation: `kernels` = 8, 5, 3 of figure 1c and 40, 20, 10 of InceptionTime.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn._convolution import ConvNorm
from netwright.nn._convolution1d import ConvNorm1d
from netwright.nn._drop import StochasticDepth
from netwright.nn._within import keep_within

__all__ = [
    "Around",
    "Inception",
    "frame_residual",
    "inception_residual",
    "series_residual",
]

Device = torch.device | str | None


class Around(nn.Module):
    """Layers around which the input is carried: `relu(shortcut(x) + branch(x))`.

    Attributes:
        stride: steps that the first layer of the branch, and the shortcut, make one.
    """

    def __init__(
        self,
        branch: Sequence[nn.Module],
        shortcut: nn.Module,
        *,
        stride: int = 1,
        p_drop: float = 0.0,
    ) -> None:
        """Keep both ways.

        Args:
            branch: layers, one after the other; between them nothing passes a sequence's end.
            shortcut: brings the input to the branch's channels and steps; `nn.Identity()` where
                they are the same.
            stride: steps that the first layer, and the shortcut, make one.
            p_drop: probability that the branch is left out for an example while training.
        """
        super().__init__()
        self.branch = nn.ModuleList(branch)
        self.shortcut = shortcut
        self.stride = stride
        self.drop = StochasticDepth(p_drop)
        self.activation = nn.ReLU()

    def forward(
        self, states: Float[Tensor, "batch *axes steps"], mask: Float[Tensor, "batch 1 steps"]
    ) -> Float[Tensor, "batch *out_axes out_steps"]:
        """Return the sum of shortcut and branch, rectified."""
        inner = self.branch[0](states)
        mask = mask[..., :: self.stride] if self.stride > 1 else mask
        for layer in self.branch[1:]:  # type: ignore[union-attr]  # a list of modules
            inner = layer(keep_within(inner, mask))
        return self.activation(self.shortcut(states) + self.drop(inner))


def series_residual(
    in_channels: int,
    out_channels: int,
    *,
    kernels: Sequence[int] = (7, 5, 3),
    stride: int = 1,
    p_drop: float = 0.0,
    device: Device = None,
    dtype: torch.dtype | None = None,
) -> Around:
    """Make a residual block of convolutions over steps.

    Args:
        in_channels: channels that come in.
        out_channels: channels that go out.
        kernels: steps that each convolution covers, odd.
        stride: 1 keeps the length, 2 halves it.
        p_drop: probability that the branch is left out for an example while training.
        device: where the parameters lie.
        dtype: of the parameters.

    Raises:
        ValueError: if `stride` is not 1 or 2, or a kernel is even, or there is none.
    """
    _check(kernels)
    if stride not in (1, 2):
        raise ValueError(f"`stride` must be 1 or 2; got {stride}.")
    kwargs = {"device": device, "dtype": dtype}
    branch = [
        ConvNorm1d(
            in_channels if place == 0 else out_channels,
            out_channels,
            kernel=kernel,
            stride=stride if place == 0 else 1,
            activation=place < len(kernels) - 1,
            **kwargs,
        )
        for place, kernel in enumerate(kernels)
    ]
    nn.init.zeros_(branch[-1][1].weight)  # type: ignore[arg-type]  # a batch norm's scale
    halved = [nn.MaxPool1d(1, 2)] if stride == 2 else []  # every second step
    resized = (
        [ConvNorm1d(in_channels, out_channels, kernel=1, activation=False, **kwargs)]
        if in_channels != out_channels
        else []
    )
    return Around(branch, nn.Sequential(*halved, *resized), stride=stride, p_drop=p_drop)


def inception_residual(
    in_channels: int,
    width: int,
    *,
    depth: int = 3,
    kernels: Sequence[int] = (39, 19, 9),
    device: Device = None,
    dtype: torch.dtype | None = None,
) -> Around:
    """Make a residual block of inception modules; it gives `width * (len(kernels) + 1)` channels.

    Args:
        in_channels: channels that come in, none of them negative.
        width: channels of each part of a module.
        depth: modules in a row, positive.
        kernels: steps that each of the kernels covers, odd.
        device: where the parameters lie.
        dtype: of the parameters.

    Raises:
        ValueError: if a kernel is even, or there is none.
    """
    kwargs = {"device": device, "dtype": dtype}
    channels, branch = in_channels, []
    for _ in range(depth):
        module = Inception(channels, width, kernels=kernels, **kwargs)
        branch.append(module)
        channels = module.out_features
    shortcut = ConvNorm1d(in_channels, channels, kernel=1, activation=False, **kwargs)
    return Around(branch, shortcut)


def frame_residual(
    channels: int, *, device: Device = None, dtype: torch.dtype | None = None
) -> Around:
    """Make a residual block of two 3x3 convolutions over bands and frames.

    Args:
        channels: that come in and go out.
        device: where the parameters lie.
        dtype: of the parameters.
    """
    kwargs = {"device": device, "dtype": dtype}
    last = ConvNorm(channels, channels, activation=False, **kwargs)
    nn.init.zeros_(last[1].weight)  # type: ignore[arg-type]  # a batch norm's scale
    return Around([ConvNorm(channels, channels, **kwargs), last], nn.Identity())


class Inception(nn.Module):
    """Kernels of several lengths side by side, behind a bottleneck, and a maximum of three steps.

    Attributes:
        out_features: channels that go out: `width` for each kernel, and for the maximum.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        kernels: Sequence[int] = (39, 19, 9),
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block; the sequence keeps its length.

        Args:
            in_channels: channels that come in.
            width: channels of the bottleneck and of each part.
            kernels: steps that each of the kernels covers, odd.
            device: where the parameters lie.
            dtype: of the parameters.

        Raises:
            ValueError: if a kernel is even, or there is none.
        """
        super().__init__()
        _check(kernels)
        kwargs = {"device": device, "dtype": dtype}
        self.bottleneck = nn.Conv1d(in_channels, width, 1, bias=False, **kwargs)
        self.parts = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False, **kwargs)
            for kernel in kernels
        )
        self.greatest = nn.MaxPool1d(3, stride=1, padding=1)
        self.project = nn.Conv1d(in_channels, width, 1, bias=False, **kwargs)
        self.out_features = width * (len(kernels) + 1)
        self.norm = nn.BatchNorm1d(self.out_features, **kwargs)
        self.activation = nn.ReLU()

    def forward(
        self, states: Float[Tensor, "batch channels steps"]
    ) -> Float[Tensor, "batch out_channels steps"]:
        """Return what all parts say, normalised and rectified."""
        narrow = self.bottleneck(states)
        found = [part(narrow) for part in self.parts]
        found.append(self.project(self.greatest(states)))
        return self.activation(self.norm(torch.cat(found, dim=1)))


def _check(kernels: Sequence[int]) -> None:
    if not kernels or any(kernel % 2 == 0 for kernel in kernels):
        raise ValueError(f"`kernels` must be odd numbers, one at least; got {list(kernels)}.")
