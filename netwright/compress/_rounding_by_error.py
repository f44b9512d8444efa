"""Round weights one input after the other, and let the rest make up for each rounding.

Paper:    Frantar, Ashkboos, Hoefler, Alistarh. GPTQ: Accurate Post-Training Quantization for
          Generative Pre-trained Transformers. ICLR 2023, arXiv:2210.17323. Algorithm 1, which takes
          the columns in order and reads all updates off one Cholesky factor (section 3.3); it is
          optimal brain surgeon's update (its equation 2) with the rounded value in place of zero.
Departs:  no blocks of columns (they only save time); a step for each output channel, from the
          weights before; convolutions too, as linear maps of their patches. Where a step lost more
          on the rows than rounding to the nearest would, the nearest is kept.
Notation: hessian = H, damping = lambda as a share of the mean diagonal, weight = W.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from netwright.compress._fixed_point import fixed_point
from netwright.compress._weights import constraint, weights

__all__ = ["RoundedLayer", "inputs_of", "layers_to_round", "round_by_error"]


@dataclass(frozen=True, slots=True)
class RoundedLayer:
    """How far a layer's outputs moved.

    Attributes:
        nearest: mean squared change of the layer's outputs, relative to their mean square, if every
            weight took the nearest value.
        reached: the same as the weights were rounded.
    """

    nearest: float
    reached: float


@torch.no_grad()
def round_by_error(
    network: nn.Module,
    x: Float[Tensor, "batch *features"],
    bits: int | Mapping[str, int] = 4,
    *,
    damping: float = 0.01,
) -> dict[str, RoundedLayer]:
    """Round a network's linear layers and convolutions to fixed point, without training.

    Args:
        network: changed in place, layer by layer in the order of its modules; it must not be
            constrained. Grouped convolutions are left alone.
        x: calibration rows, without labels.
        bits: of a code, for all layers or by the weight's name; from 2 to 16.
        damping: added to the diagonal of the Hessian, as a share of its mean.

    Returns:
        For each weight that was rounded, how far its layer's outputs moved.

    Raises:
        ValueError: if the network has no such weight, one that is no linear layer's or
            convolution's, or one that is held by a constraint.

    Cost: a pass over `x` for each layer, and a cubic decomposition in the layer's inputs.
    """
    found = {}
    for name, (layer, n_bits) in layers_to_round(network, bits).items():
        inputs = inputs_of(network, layer, x)
        if inputs is None:
            continue  # the network does not use it
        flat = weights(network)[name].reshape(len(layer.weight), -1)
        rounded, moved = _round(flat, inputs, n_bits, damping)
        layer.weight.data.copy_(rounded.reshape(layer.weight.shape))
        found[name] = moved
    return found


def layers_to_round(
    network: nn.Module, bits: int | Mapping[str, int]
) -> dict[str, tuple[nn.Linear | nn.Conv2d, int]]:
    """Return linear layers and convolutions by their weights' names, each with its bits.

    Args:
        network: whose layers they are.
        bits: of a code, for all layers or by the weight's name.

    Raises:
        ValueError: if the network has no such weight, one that is no linear layer's or
            convolution's, or one that is held by a constraint.
    """
    layers: dict[str, nn.Linear | nn.Conv2d] = {
        f"{path}.weight" if path else "weight": module
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    }
    chosen = bits if isinstance(bits, Mapping) else dict.fromkeys(layers, bits)
    for name in chosen:
        held = constraint(network, name)  # refuses unknown names
        if held is not None:
            raise ValueError(f"`{name}` is held by a constraint; `settle` the network first.")
        if name not in layers:
            raise ValueError(f"`{name}` belongs to no linear layer and no plain convolution.")
    return {name: (layer, chosen[name]) for name, layer in layers.items() if name in chosen}


@torch.no_grad()
def inputs_of(
    network: nn.Module, layer: nn.Module, x: Float[Tensor, "batch *features"]
) -> Float[Tensor, "n inputs"] | None:
    """Return what a layer's weight is multiplied with, a row for each of its outputs' places.

    Args:
        network: run in eval mode, and left as it is.
        layer: of the network; patches are cut out for a convolution.
        x: inputs of the network.

    Returns:
        The rows; None if the network does not use the layer.
    """
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    was = network.training
    try:
        network.eval()(x)
    finally:
        network.train(was)
        handle.remove()
    if not seen:
        return None
    if isinstance(layer, nn.Conv2d):
        given = seen[0]
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            given = functional.pad(
                given,
                layer._reversed_padding_repeated_twice,
                mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode,
            )
            padding: tuple[int, ...] = (0, 0)
        else:
            padding = layer.padding
        patches = functional.unfold(
            given, layer.kernel_size, layer.dilation, padding, layer.stride
        )  # (batch, inputs, places)
        return patches.transpose(1, 2).reshape(-1, patches.shape[1])
    return seen[0].reshape(-1, seen[0].shape[-1])


def _round(flat: Tensor, inputs: Tensor, bits: int, damping: float) -> tuple[Tensor, RoundedLayer]:
    grid = fixed_point(flat, bits=bits, axis=0)
    most = 2 ** (bits - 1) - 1

    def nearest(column: Tensor, place: int) -> Tensor:
        steps = grid.step[:, 0]
        return (column / steps).round().clamp(-most, most) * steps

    wide = inputs.double()  # sums over many rows, and an inverse
    hessian = wide.T @ wide
    by_error = _by_columns(flat.double(), hessian, nearest, damping).to(flat.dtype)
    energy = ((flat.double() @ hessian) * flat).sum().clamp(min=1e-30)

    def moved(rounded: Tensor) -> float:
        change = rounded.double() - flat.double()
        return (((change @ hessian) * change).sum() / energy).item()

    plain, reached = moved(grid.values), moved(by_error)
    if reached > plain:
        return grid.values, RoundedLayer(plain, plain)
    return by_error, RoundedLayer(plain, reached)


def _by_columns(flat: Tensor, hessian: Tensor, nearest, damping: float) -> Tensor:
    # Algorithm 1; rows of the Cholesky factor of the inverse hold every later update.
    size = len(hessian)
    diagonal = hessian.diagonal()
    added = damping * diagonal.mean().clamp(min=1e-12) * torch.eye(size, dtype=hessian.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian + added.to(hessian.device)))
    factor = torch.linalg.cholesky(inverse, upper=True)
    left, rounded = flat.clone(), torch.zeros_like(flat)
    for k in range(size):
        rounded[:, k] = nearest(left[:, k], k)
        error = (left[:, k] - rounded[:, k]) / factor[k, k]
        left[:, k:] -= error[:, None] * factor[k, k:]
    return rounded
