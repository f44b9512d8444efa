"""Find a patch that, stuck anywhere on any image, makes a classifier answer one class.

Paper:    Brown, Mane, Roy, Abadi, Gilmer. Adversarial Patch. NIPS 2017 workshop, arXiv:1712.09665.
          Equation 1: expectation over images, places, scales and rotations.
Departs:  Adam on the patch's pixels, clamped to [0, 1].
Notation: aim = y-hat, side and degrees = the transformations T, places = the locations L.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from netwright.audits.attack._hunt import require_count
from netwright.audits.attack._outcome import check_inputs
from netwright.audits.attack._transforms import turned

__all__ = ["Patch", "patch"]


@dataclass(frozen=True, eq=False)
class Patch:
    """A picture to stick on images.

    Attributes:
        pixels: the patch, in [0, 1].
        share: of the images it was made from, stuck at fresh random places, that get the wanted
            class.
        n_gradients: gradients computed, counted by image.
    """

    pixels: Float[Tensor, "channels side side"]
    share: float
    n_gradients: int

    def paste(
        self,
        x: Float[Tensor, "batch channels height width"],
        *,
        degrees: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """Stick the patch on each image, at a random place.

        Args:
            x: images in [0, 1], larger than the patch.
            degrees: largest angle by which it is turned, in either direction.
            generator: source of places and angles, on the device of `x`.
        """
        return _pasted(self.pixels, x, degrees, generator)


def patch(
    network: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch channels height width"],
    *,
    aim: int,
    side: int,
    degrees: float = 20.0,
    n_steps: int = 200,
    batch_size: int = 32,
    step_size: float = 0.05,
    generator: torch.Generator | None = None,
) -> Patch:
    """Attack a classifier of images by a square patch that works wherever it sticks.

    Args:
        network: maps images to logits, each row on its own; a module must be in eval mode.
        x: images in [0, 1] to learn the patch from, of any class.
        aim: the class that images with the patch shall get.
        side: side of the patch, in pixels, at most the image's.
        degrees: largest angle by which the patch is turned, in either direction.
        n_steps: steps, each on a batch.
        batch_size: images of a batch.
        step_size: learning rate of Adam, in units of `x`.
        generator: draws batches, places and angles, on the device of `x`; torch's global one if
            None.

    Returns:
        The patch, and how often it works at fresh places.

    Raises:
        ValueError: if a count is not positive, there are no images, the side does not fit, or as
            `pgd` does for inputs and network.

    Cost: `n_steps` passes forward and back over a batch.
    """
    require_count("n_steps", n_steps)
    require_count("batch_size", batch_size)
    check_inputs(network, x, 0.0, 1.0, None)
    if not len(x):
        raise ValueError("`x` has no rows: a patch is learned from some images.")
    if not 1 <= side <= min(x.shape[2:]):
        raise ValueError(
            f"`side` must lie between 1 and the image's {min(x.shape[2:])} pixels; got {side}."
        )
    pixels = torch.full((x.shape[1], side, side), 0.5, dtype=x.dtype, device=x.device)
    first, second = torch.zeros_like(pixels), torch.zeros_like(pixels)
    n_gradients = 0
    for step in range(1, n_steps + 1):
        at = torch.randint(len(x), (min(batch_size, len(x)),), generator=generator, device=x.device)
        wanted = torch.full((len(at),), aim, device=x.device)
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_(True)
            logits = network(_pasted(leaf, x[at], degrees, generator))
            loss = functional.cross_entropy(logits, wanted)
            (gradient,) = torch.autograd.grad(loss, leaf)
        n_gradients += len(at)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient.square()
        scale = (second / (1 - 0.999**step)).sqrt() + 1e-8
        pixels = (pixels - step_size * first / (1 - 0.9**step) / scale).clamp(0.0, 1.0)
    with torch.no_grad():
        answers = network(_pasted(pixels, x, degrees, generator)).argmax(1)
    return Patch(pixels, (answers == aim).float().mean().item(), n_gradients)


def _pasted(pixels: Tensor, x: Tensor, degrees: float, generator: torch.Generator | None) -> Tensor:
    n, C, H, W = x.shape
    side = pixels.shape[1]
    kind = {"dtype": x.dtype, "device": x.device, "generator": generator}
    top = torch.randint(H - side + 1, (n,), device=x.device, generator=generator)
    left = torch.randint(W - side + 1, (n,), device=x.device, generator=generator)
    # Patch and its mask stand in the middle of an empty image, are turned, and are moved.
    start_row, start_column = (H - side) // 2, (W - side) // 2
    around = (start_column, W - side - start_column, start_row, H - side - start_row)
    both = torch.cat([pixels, torch.ones_like(pixels[:1])])
    both = functional.pad(both, around).expand(n, C + 1, H, W)
    angle = degrees * (2 * torch.rand(n, **kind) - 1)
    if degrees:  # about the patch's middle, which is the image's to half a pixel
        both = turned(both, degrees=angle)
    rows = (torch.arange(H, device=x.device) - (top - start_row)[:, None]) % H
    columns = (torch.arange(W, device=x.device) - (left - start_column)[:, None]) % W
    each = torch.arange(n, device=x.device)[:, None, None]
    moved = both[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    stuck, mask = moved[:, :C], moved[:, C:]
    return (stuck + (1 - mask) * x).clamp(0.0, 1.0)
