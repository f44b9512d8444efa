"""The attacker that a network is trained against: how far it may go, and where it stands."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Threat"]


@dataclass(eq=False)
class Threat:
    """What the attacker of a training may do, and where it stands.

    Attributes:
        radius: largest change, in units of the input: of a pixel, or of the whole for "l2".
        norm: "linf" or "l2".
        n_steps: gradient steps of an attack.
        generator: source of its starts, on the inputs' device.
        progress: share of the training that is done, in [0, 1].
        starts: share of the training after which the radius begins to grow.
        full: share of the training after which it has grown.
        carried: the change that `free` takes from one batch to the next.
    """

    radius: float
    norm: str
    n_steps: int
    generator: torch.Generator
    progress: float = 0.0
    starts: float = 0.0
    full: float = 0.2
    carried: Tensor | None = None

    @property
    def reach(self) -> float:
        """The radius at this point of the training."""
        return self.radius * self.grown

    @property
    def grown(self) -> float:
        """The share of the radius that is reached at this point of the training."""
        return min(1.0, max(0.0, self.progress - self.starts) / (self.full - self.starts))

    def step(self, gradient: Tensor, size: float) -> Tensor:
        """Return the change of norm `size` along which a linear loss grows most.

        Args:
            gradient: of the loss, by the input.
            size: in units of the input.
        """
        if self.norm == "linf":
            return size * gradient.sign()
        return size * gradient / _length(gradient)

    def project(self, offset: Tensor) -> Tensor:
        """Return the nearest change that the attacker may make.

        Args:
            offset: in units of the input.
        """
        if self.norm == "linf":
            return offset.clamp(-self.reach, self.reach)
        return offset * (self.reach / _length(offset)).clamp(max=1.0)

    def start(self, x: Tensor) -> Tensor:
        """Draw a change at random.

        Args:
            x: the inputs.
        """
        kind = {"dtype": x.dtype, "device": x.device, "generator": self.generator}
        if self.norm == "linf":
            return self.reach * (2 * torch.rand(x.shape, **kind) - 1)
        towards = torch.randn(x.shape, **kind)
        share = torch.rand((len(x), *(1 for _ in x.shape[1:])), **kind)
        return self.reach * share * towards / _length(towards)

    def box(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the largest images within reach, each pixel by itself.

        Args:
            x: images in [0, 1].
        """
        return (x - self.reach).clamp(0.0, 1.0), (x + self.reach).clamp(0.0, 1.0)


def _length(offset: Tensor) -> Tensor:
    length = offset.flatten(1).norm(dim=1).clamp_min(1e-30)
    return length.view(-1, *(1 for _ in offset.shape[1:]))
