"""A network whose logits are divided by a temperature, so that its probabilities can be believed.

Paper:    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017,
          arXiv:1706.04599, section 4.2, temperature scaling.
Departs:  nothing; the temperature is fitted elsewhere.
Notation: temperature = T.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Calibrated"]


class Calibrated(nn.Module):
    """Divide a network's logits by a temperature; no predicted class changes.

    Attributes:
        network: gives the logits.
        temperature: a buffer, so that it is saved with the weights.
    """

    temperature: Tensor

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        """Wrap a network, on its device and in its type.

        Args:
            network: gives logits of classes or labels.
            temperature: above 1 makes probabilities less extreme; positive.

        Raises:
            ValueError: if `temperature` is not positive.
        """
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"`temperature` must be positive; got {temperature}.")
        self.network = network
        like = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
        value = torch.tensor(temperature, dtype=like.dtype, device=like.device)
        self.register_buffer("temperature", value)

    def forward(self, x: Tensor) -> Float[Tensor, "batch outputs"]:
        """Return the calibrated logits."""
        return self.network(x) / self.temperature
