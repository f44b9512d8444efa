"""The convolutional block of networks that read steps in time, or words in a row.

Paper:    Wang, Yan, Oates. Time Series Classification from Scratch with Deep Neural Networks: A
          Strong Baseline. IJCNN 2017, arXiv:1611.06455, section 2 (convolution, batch
          normalisation, ReLU).
          Yu, Koltun. Multi-Scale Context Aggregation by Dilated Convolutions. ICLR 2016,
          arXiv:1511.07122 (`dilation`).
Departs:  no bias beside the shift of the normalisation.
Notation: `dilation` = l.
"""

import torch
from torch import nn

__all__ = ["ConvNorm1d"]


class ConvNorm1d(nn.Sequential):
    """Convolution over steps without bias, batch normalisation and, unless switched off, a ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block; as many steps come out as go in, up to `stride`.

        Args:
            in_channels: channels that come in.
            out_channels: channels that go out.
            kernel: steps that a filter sees, odd.
            stride: steps between two outputs.
            dilation: steps between two that a filter sees.
            groups: the channels are convolved in this many separate groups.
            activation: whether a ReLU follows.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        kwargs = {"device": device, "dtype": dtype}
        reach = dilation * (kernel // 2)  # on either side
        convolution = nn.Conv1d(
            in_channels, out_channels, kernel, stride, reach, dilation, groups, False, **kwargs
        )
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        layers: list[nn.Module] = [convolution, nn.BatchNorm1d(out_channels, **kwargs)]
        super().__init__(*layers, *([nn.ReLU()] if activation else []))
