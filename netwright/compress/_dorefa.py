"""Train with gradients of few bits on their way back through the layers.

Paper:    Zhou, Wu, Ni, Zhou, Wen, Zou. DoReFa-Net: Training Low Bitwidth Convolutional Neural
          Networks with Low Bitwidth Gradients. 2016, arXiv:1606.06160, section 2.5, equation 12.
Departs:  its weights and activations are those of `round_aware` and `round_activations`.
Notation: bits = k, gradient = dr, noise = N(k), the largest of an example = max_0.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["dorefa", "dorefa_gradients"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def dorefa(
    gradient: Float[Tensor, "batch *rest"],
    *,
    bits: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Round each example's gradient to 2^bits values between plus and minus its largest.

    Args:
        gradient: of a layer's outputs.
        bits: of a value, from 1 to 16.
        generator: of the noise, half a step to either side, thanks to which the expectation is
            `gradient`.

    Raises:
        ValueError: if `bits` is out of range.

    Example:
        >>> dorefa(torch.tensor([[2.0, -2.0]]), bits=1).tolist()
        [[2.0, -2.0]]
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"`bits` must lie in 1..16; got {bits}.")
    most, others = 2**bits - 1, tuple(range(1, gradient.ndim))
    largest = gradient.abs().amax(others, keepdim=True) if others else gradient.abs()
    scale = 2 * largest.clamp(min=torch.finfo(gradient.dtype).tiny)
    noise = torch.rand(
        gradient.shape, dtype=gradient.dtype, device=gradient.device, generator=generator
    )
    codes = ((gradient / scale + 0.5) * most + noise - 0.5).round().clamp(0, most)
    return torch.where(largest > 0, scale * (codes / most - 0.5), 0.0)


@contextmanager
def dorefa_gradients(
    network: nn.Module, *, bits: int, generator: torch.Generator | None = None
) -> Iterator[None]:
    """Let gradients of the outputs of linear layers and convolutions come back rounded.

    Args:
        network: learns inside the block, by any training loop.
        bits: of a value, from 1 to 16.
        generator: of the noise.

    Raises:
        ValueError: if `bits` is out of range.
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"`bits` must lie in 1..16; got {bits}.")

    def rounded(gradient: Tensor) -> Tensor:
        return dorefa(gradient, bits=bits, generator=generator)

    def watch(module: nn.Module, given: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(rounded)

    hook: Callable[..., None] = watch
    handles = [m.register_forward_hook(hook) for m in network.modules() if isinstance(m, _LAYERS)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
