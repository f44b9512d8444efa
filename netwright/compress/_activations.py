"""Round what layers receive, by ranges from calibration rows; networks may learn while it is so.

Paper:    Jacob et al. Quantization and Training of Neural Networks for Efficient
          Integer-Arithmetic-Only Inference. CVPR 2018, arXiv:1712.05877. Equation 1 and section 3.1
          (simulated quantisation of activations, zero without error).
          Bengio, Leonard, Courville. Estimating or Propagating Gradients Through Stochastic
          Neurons. 2013, arXiv:1308.3432 (the straight-through estimator).
Departs:  ranges are fixed by calibration before training, not followed by moving averages; they are
          those of what linear layers and convolutions receive, one range for the whole tensor.
Notation: step = S, zero = Z, bits = B.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from netwright.compress._ranges import SAMPLE, Range, least_error
from netwright.compress._straight_through import straight_through

__all__ = [
    "CalibratedLayer",
    "Calibration",
    "RoundedInput",
    "free_activations",
    "round_activations",
]

_HELD = "input_rounding"
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, slots=True)
class CalibratedLayer:
    """What calibration found for one layer.

    Attributes:
        range: of the numbers that it receives.
        error: mean squared error of rounding them, as a share of their mean square.
        clipped: share of them that lies outside the range.
    """

    range: Range
    error: float
    clipped: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the activations of a network were calibrated.

    Attributes:
        layers: those that receive rounded numbers, by the module's name.
        data: which rows were used, in the caller's words.
        rows: how many.
        unused: names of layers that are not rounded, since the network did not run them.
    """

    layers: Mapping[str, CalibratedLayer]
    data: str
    rows: int
    unused: tuple[str, ...]


class RoundedInput(nn.Module):
    """Rounds numbers to the codes of a range; gradients pass inside of it, and not beyond.

    Attributes:
        step: distance of neighbouring values.
        zero: the code of 0, as a floating-point number.
        most: the highest code.
    """

    step: Tensor
    zero: Tensor

    def __init__(self, held: Range) -> None:
        """Round to a range.

        Args:
            held: the range.
        """
        super().__init__()
        self.register_buffer("step", torch.tensor(float(held.step)))
        self.register_buffer("zero", torch.tensor(float(held.zero)))
        self.most = 2**held.bits - 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded numbers.

        Args:
            x: in full precision.
        """
        codes = ((x / self.step).round() + self.zero).clamp(0, self.most)
        rounded = (codes - self.zero) * self.step
        if not torch.is_grad_enabled():  # what is exported is plain arithmetic
            return rounded
        inside = x.clamp(-self.zero * self.step, (self.most - self.zero) * self.step)
        return straight_through(inside, rounded)


@torch.no_grad()
def round_activations(
    network: nn.Module,
    x: Num[Tensor, "batch *input"],
    bits: int | Mapping[str, int] = 8,
    *,
    choose: Callable[[np.ndarray, int], Range] = least_error,
    data: str = "",
) -> Calibration:
    """Let linear layers and convolutions receive rounded numbers, from now on.

    The network may go on learning (gradients pass straight through), and `round_weights`,
    `round_aware` and others round its weights as well. `to_qdq` writes such a network for ONNX
    Runtime. `free_activations` ends it.

    Args:
        network: changed in place: each of those layers gets a module `input_rounding`. Layers that
            are rounded already are calibrated anew.
        x: calibration rows, which should look like those that will come.
        bits: of a code, for all layers or by the module's name; from 2 to 16. The answers'
            precision is that of the last layer's inputs and weights.
        choose: makes a range of numbers that were seen and bits: `min_max`, `percentile(0.999)`,
            `least_error` or `least_divergence`.
        data: which rows `x` holds, for the record; such as "128 rows of the calibration split".

    Returns:
        The ranges, and what rounding to them costs.

    Raises:
        ValueError: if `x` is empty, `bits` is out of range, a name is unknown or of another kind
            of layer, or numbers are not finite.

    Cost: a pass over `x`, and some dozens of passes over a sample of 65,536 numbers for each layer.

    Example:
        >>> two = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> found = round_activations(two, torch.rand(8, 2), 4, data="made up")
        >>> list(found.layers), found.data
        (['0', '2'], 'made up')
    """
    if not len(x):
        raise ValueError("`x` must hold calibration rows; got none.")
    layers = {path: m for path, m in network.named_modules() if isinstance(m, _LAYERS)}
    chosen = bits if isinstance(bits, Mapping) else dict.fromkeys(layers, bits)
    for name, n in chosen.items():
        if name not in layers:
            raise ValueError(
                f"The network has no linear layer and no convolution `{name}`; it has "
                f"{', '.join(layers) or 'none'}."
            )
        if not 2 <= n <= 16:
            raise ValueError(f"`bits` must lie in 2..16; got {n} for `{name}`.")
    wanted = {name: layers[name] for name in chosen}
    for layer in wanted.values():
        _free(layer)
    samples = _seen(network, wanted, x)
    found = {}
    for name, sample in samples.items():
        if not np.isfinite(sample).all():
            raise ValueError(f"`{name}` receives numbers that are not finite; no range holds them.")
        held = choose(sample, chosen[name])
        layer = layers[name]
        layer.add_module(_HELD, RoundedInput(held).to(layer.weight.device))
        layer.register_forward_pre_hook(_round_first)
        energy = max(float(np.square(sample).mean()), 1e-30)
        error = float(np.square(held.rounded(sample) - sample).mean()) / energy
        outside = (sample < held.low) | (sample > held.high)
        found[name] = CalibratedLayer(held, error, float(outside.mean()))
    unused = tuple(name for name in wanted if name not in found)
    return Calibration(found, data, len(x), unused)


def free_activations(network: nn.Module) -> None:
    """Let all layers receive what comes, unrounded.

    Args:
        network: changed in place.
    """
    for module in network.modules():
        _free(module)


def _round_first(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    # A plain function: copies of the layer round with their own ranges.
    return (module.get_submodule(_HELD)(given[0]), *given[1:])


def _free(layer: nn.Module) -> None:
    if hasattr(layer, _HELD):
        delattr(layer, _HELD)
    for number, hook in tuple(layer._forward_pre_hooks.items()):
        if hook is _round_first:
            del layer._forward_pre_hooks[number]


def _seen(
    network: nn.Module, layers: Mapping[str, nn.Module], x: Tensor
) -> dict[str, Float[np.ndarray, "n"]]:
    # A sample of what each layer receives, with the extremes of every call.
    samples: dict[str, list[np.ndarray]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            flat = given[0].detach().float().reshape(-1).cpu().numpy()
            extremes = np.array([flat.min(), flat.max()])
            samples.setdefault(name, []).extend((flat[:: -(-len(flat) // SAMPLE)], extremes))

        return hook

    handles = [m.register_forward_pre_hook(keep(name)) for name, m in layers.items()]
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    return {name: np.concatenate(parts) for name, parts in samples.items()}
