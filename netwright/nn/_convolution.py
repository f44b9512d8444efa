"""The convolutional blocks of image networks.

Paper:    He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016,
          arXiv:1512.03385 (`Residual`, basic block, projection shortcut B).
          Chollet. Xception: Deep Learning with Depthwise Separable Convolutions. CVPR 2017,
          arXiv:1610.02357 (`Separable`).
          Hu, Shen, Sun. Squeeze-and-Excitation Networks. CVPR 2018, arXiv:1709.01507.
Departs:  a residual block that shrinks the image averages 2x2 pixels on its shortcut before the
          1x1 convolution, so that no pixel is dropped (He et al., Bag of Tricks, arXiv:1812.01187);
          the last scale of a residual branch starts at zero (Goyal et al., arXiv:1706.02677).
Notation: `stride` = s, `channels` = C, `squeezed` = C / r.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.nn._drop import StochasticDepth

__all__ = ["ConvNorm", "GlobalPool", "Residual", "Separable", "SqueezeExcitation"]

Device = torch.device | str | None


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless switched off, a ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block; the image keeps its size up to `stride`.

        Args:
            in_channels: channels that come in.
            out_channels: channels that go out.
            kernel: side of the square kernel, odd.
            stride: pixels between two outputs.
            groups: the channels are convolved in this many separate groups.
            activation: whether a ReLU follows.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        kwargs = {"device": device, "dtype": dtype}
        convolution = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
            **kwargs,
        )
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        layers: list[nn.Module] = [convolution, nn.BatchNorm2d(out_channels, **kwargs)]
        super().__init__(*layers, *([nn.ReLU()] if activation else []))


class Residual(nn.Module):
    """Two 3x3 convolutions around which the input is carried: `relu(shortcut(x) + branch(x))`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        squeeze: bool = False,
        p_drop: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block.

        Args:
            in_channels: channels that come in.
            out_channels: channels that go out.
            stride: 1 keeps the image's size, 2 halves it.
            squeeze: whether channels are reweighted by squeeze-and-excitation.
            p_drop: probability that the branch is left out for an example while training.
            device: where the parameters lie.
            dtype: of the parameters.

        Raises:
            ValueError: if `stride` is not 1 or 2.
        """
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"`stride` must be 1 or 2; got {stride}.")
        kwargs = {"device": device, "dtype": dtype}
        last = ConvNorm(out_channels, out_channels, activation=False, **kwargs)
        nn.init.zeros_(last[1].weight)  # type: ignore[arg-type]  # a batch norm's scale
        self.branch = nn.Sequential(
            ConvNorm(in_channels, out_channels, stride=stride, **kwargs), last
        )
        if squeeze:
            self.branch.append(SqueezeExcitation(out_channels, **kwargs))
        self.shortcut = nn.Sequential()
        if stride == 2:
            self.shortcut.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
        if stride == 2 or in_channels != out_channels:
            self.shortcut.append(
                ConvNorm(in_channels, out_channels, kernel=1, activation=False, **kwargs)
            )
        self.drop = StochasticDepth(p_drop)
        self.activation = nn.ReLU()

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """Return the sum of shortcut and branch, rectified."""
        return self.activation(self.shortcut(features) + self.drop(self.branch(features)))


class Separable(nn.Sequential):
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution across channels."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block.

        Args:
            in_channels: channels that come in.
            out_channels: channels that go out.
            stride: 1 keeps the image's size, 2 halves it.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        kwargs = {"device": device, "dtype": dtype}
        super().__init__(
            ConvNorm(in_channels, in_channels, stride=stride, groups=in_channels, **kwargs),
            ConvNorm(in_channels, out_channels, kernel=1, **kwargs),
        )


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from the means of all channels."""

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 4,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the gate.

        Args:
            channels: channels that come in and go out.
            reduction: the gate's hidden layer is this many times narrower, but at least 4 wide.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        squeezed = max(4, channels // reduction)
        self.squeeze = nn.Linear(channels, squeezed, device=device, dtype=dtype)
        self.excite = nn.Linear(squeezed, channels, device=device, dtype=dtype)

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Return the features, gated."""
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(features.mean(dim=(2, 3))))))
        return features * gate[:, :, None, None]


class GlobalPool(nn.Module):
    """Average every channel over the image."""

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels"]:
        """Return one number per channel."""
        return features.mean(dim=(2, 3))
