"""Learn, while the network is trained, how far images may be changed.

Paper:    Benton, Finzi, Izmailov, Wilson. Learning Invariances in Neural Networks from Training
          Data ("Augerino"). NeurIPS 2020, arXiv:2010.11882, section 3 and 3.1 (uniform
          distributions over affine maps, their widths learned with the weights; wide ones are
          rewarded).
Departs:  the reward is the entropy of the distribution, the sum of the logarithms of its widths,
          instead of their norm: under that a wide width earns more than a narrow one, and in short
          trainings one grows and the others vanish. Brightness and contrast have widths beside the
          affine generators. Nothing is averaged over changed copies of an image when the network is
          used. No width goes beyond a bound where all meaning is lost.
Notation: widths = theta, generators = G_1 .. G_6, drawn = epsilon, `_REWARD` = lambda.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.learn._augment_trivial import warp

__all__ = ["WIDTHS", "LearnedWidths"]

# What has a width, what it is at first, and the most that it may become. Moves and zooms are shares
# of half an edge, angles radians, brightness in units of the images, contrast a logarithm.
WIDTHS: Mapping[str, tuple[float, float]] = {
    "move across": (0.05, 1.0),
    "move down": (0.05, 1.0),
    "turn": (0.05, 3.1416),
    "zoom": (0.05, 1.0),
    "stretch": (0.05, 1.0),
    "shear": (0.05, 1.0),
    "brightness": (0.02, 0.5),
    "contrast": (0.05, 1.5),
}
_REWARD = 0.1  # nats of loss that twice the width of one kind may cost, divided by log 2
_RATE = 0.02  # of Adam; a width grows by a fiftieth a step at most


class LearnedWidths(nn.Module):
    """A random change of images, with one learned width for each kind of change.

    Attributes:
        raw: logit of each width, as a share of its bound.
    """

    def __init__(self, *, device: torch.device | None = None) -> None:
        """Begin with narrow widths.

        Args:
            device: of the images.
        """
        super().__init__()
        first, most = torch.tensor(list(WIDTHS.values()), device=device).T
        self.raw = nn.Parameter((first / most).logit())
        self.register_buffer("most", most, persistent=False)
        self.register_buffer("generators", _generators().to(most), persistent=False)
        self._optimizer = torch.optim.Adam([self.raw], lr=_RATE)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What moves the widths."""
        return self._optimizer

    @property
    def widths(self) -> dict[str, float]:
        """How far images are changed at most, by the kind of change, in the units of `WIDTHS`."""
        return dict(zip(WIDTHS, self._widths().tolist(), strict=True))

    def forward(
        self,
        x: Float[Tensor, "batch channels height width"],
        *,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """Change each image at random; the result can be differentiated by the widths.

        Args:
            x: images in [0, 1].
            generator: source of the changes, on the device of `x`; torch's global one if None.
        """
        B, _, H, W = x.shape
        drawn = torch.rand(B, len(WIDTHS), device=x.device, dtype=x.dtype, generator=generator)
        by = (2 * drawn - 1) * self._widths()  # (B, kinds)
        affine = torch.einsum("bk,kij->bij", by[:, :6], self.generators)  # type: ignore[arg-type]
        theta = torch.matrix_exp(affine)[:, :2]  # (B, 2, 3)
        # Both axes of the map span [-1, 1], so that an angle is one only after this.
        ratio = torch.tensor([[1.0, H / W, 1.0], [W / H, 1.0, 1.0]], device=x.device, dtype=x.dtype)
        x = warp(x, theta * ratio)
        brighter, stronger = by[:, 6].view(B, 1, 1, 1), by[:, 7].exp().view(B, 1, 1, 1)
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        return (mean + stronger * (x - mean) + brighter).clamp(0.0, 1.0)

    def learn(
        self,
        changed: Float[Tensor, "batch channels height width"],
        gradient: Float[Tensor, "batch channels height width"],
    ) -> None:
        """Take a step: down the loss, and towards wider changes.

        Args:
            changed: what `forward` returned.
            gradient: of the loss, by these images.
        """
        self._optimizer.zero_grad()
        reward = -_REWARD * self._widths().log().sum()
        torch.autograd.backward([changed, reward], [gradient, None])
        self._optimizer.step()

    def _widths(self) -> Tensor:
        return self.raw.sigmoid() * self.most  # type: ignore[operator]


def _generators() -> Tensor:
    """Moves, turn, zoom, stretch (one edge longer, the other shorter) and shear, as 3 x 3."""
    found = torch.zeros(6, 3, 3)
    found[0, 0, 2] = found[1, 1, 2] = 1.0
    found[2, 0, 1], found[2, 1, 0] = -1.0, 1.0
    found[3, 0, 0] = found[3, 1, 1] = 1.0
    found[4, 0, 0], found[4, 1, 1] = 1.0, -1.0
    found[5, 0, 1] = found[5, 1, 0] = 1.0
    return found
