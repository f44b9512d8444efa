"""Divide a network's logits by a temperature.

Paper:    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017,
          arXiv:1706.04599. Section 4.2, temperature scaling.
Departs:  nothing.
Notation: temperature = T.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Calibrated"]


class Calibrated(nn.Module):
    """A network whose logits are divided by a temperature fitted on held-out rows.

    The predicted class never changes; only the confidence does.

    Args:
        network: maps inputs to logits.
        temperature: positive; above 1 makes the network less confident.

    Raises:
        ValueError: if `temperature` is not positive.
    """

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"`temperature` must be positive; got {temperature}.")
        first = next(network.parameters(), torch.empty(0))
        self.network = network
        self.temperature: Tensor
        self.register_buffer(
            "temperature", torch.tensor(temperature, dtype=first.dtype, device=first.device)
        )

    def forward(self, x: Tensor) -> Float[Tensor, "batch classes"]:
        """Compute calibrated logits.

        Args:
            x: inputs, as the network takes them.
        """
        return self.network(x) / self.temperature

    def extra_repr(self) -> str:
        """Show the temperature."""
        return f"temperature={self.temperature.item():.4g}"
