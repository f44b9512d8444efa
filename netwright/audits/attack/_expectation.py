"""Attack what a network says on average over random changes of its input.

Paper:    Athalye, Engstrom, Ilyas, Kwok. Synthesizing Robust Adversarial Examples. ICML 2018,
          arXiv:1707.07397. Section 2.1, expectation over transformation.
Departs:  the network is wrapped instead of the attack, so that every attack here serves: logits
          become the mean log-probabilities over the changes.
Notation: change = t ~ T.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from netwright.audits.attack._hunt import require_count
from netwright.audits.attack._transforms import turned

__all__ = ["expected", "random_views"]

Change = Callable[[Tensor, torch.Generator | None], Tensor]


def expected(
    network: Callable[[Tensor], Tensor],
    change: Change,
    *,
    n_samples: int = 16,
    generator: torch.Generator | None = None,
) -> Callable[[Tensor], Tensor]:
    """Wrap a network so that attacks on it survive random changes of the input.

    Every call draws anew: what comes out is an estimate, and gradients are too. A network that is
    random itself is attacked in the same way, with a `change` that changes nothing.

    Args:
        network: maps inputs to logits; a module must be in eval mode.
        change: maps (inputs, generator) to changed inputs, each row by its own chance.
        n_samples: changes drawn for each input and call.
        generator: source of the changes, on the inputs' device; torch's global one if None.

    Returns:
        A function from inputs to mean log-probabilities, that any attack takes as a network.

    Raises:
        ValueError: if `n_samples` is not positive, or the network is in training mode.

    Example:
        >>> from netwright.audits.attack import LinfBall, pgd
        >>> network = lambda x: torch.stack([x.sum(1), 1.0 - x.sum(1)], dim=1)  # class 1: sum < 1/2
        >>> def noisy(x, generator):
        ...     return x + 0.02 * torch.randn(x.shape, generator=generator)
        >>> seeded = torch.Generator().manual_seed(0)
        >>> average = expected(network, noisy, generator=seeded)
        >>> x, y = torch.tensor([[0.2, 0.2]]), torch.tensor([1])
        >>> pgd(average, x, y, ball=LinfBall(0.1), generator=seeded).fooled.item()
        True
    """
    require_count("n_samples", n_samples)
    if isinstance(network, torch.nn.Module) and network.training:
        raise ValueError("`network` must be in eval mode: call `network.eval()` first.")

    def average(x: Tensor) -> Tensor:
        many = x.repeat(n_samples, *(1 for _ in x.shape[1:]))
        said = network(change(many, generator)).log_softmax(dim=1)
        return said.view(n_samples, len(x), -1).mean(dim=0)

    return average


def random_views(
    *,
    degrees: float = 30.0,
    pixels: float = 1.0,
    zoom: float = 0.1,
    noise_std: float = 0.0,
) -> Change:
    """Make a `change` for `expected`: turn, move, zoom and blur by noise, as a camera would.

    Args:
        degrees: largest angle, in either direction.
        pixels: largest shift along each axis.
        zoom: sizes are drawn from `1 - zoom` to `1 + zoom`, with `zoom` below 1.
        noise_std: standard deviation of noise on every pixel, in units of the input.

    Raises:
        ValueError: if a limit is negative, or `zoom` is 1 or more.
    """
    limits = {"degrees": degrees, "pixels": pixels, "zoom": zoom, "noise_std": noise_std}
    for name, value in limits.items():
        if not value >= 0:
            raise ValueError(f"`{name}` must not be negative; got {value}.")
    if zoom >= 1:
        raise ValueError(f"`zoom` must be below 1, or images vanish; got {zoom}.")

    def change(x: Tensor, generator: torch.Generator | None) -> Tensor:
        kind = {"dtype": x.dtype, "device": x.device, "generator": generator}

        def between(most: float) -> Tensor:
            return most * (2 * torch.rand(len(x), **kind) - 1)

        view = turned(
            x,
            degrees=between(degrees),
            down=between(pixels),
            right=between(pixels),
            zoom=1 + between(zoom),
        )
        if noise_std:
            view = view + noise_std * torch.randn(view.shape, **kind)
        return view

    return change
