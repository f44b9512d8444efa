"""Learn for each weight whether to round it up or down, so that a layer's outputs stay.

Paper:    Nagel, Amjad, van Baalen, Louizos, Blankevoort. Up or Down? Adaptive Rounding for
          Post-Training Quantization. ICML 2020, arXiv:2004.10568. Equations 21 (the loss), 22 and
          23 (the rectified sigmoid), 24 (the regulariser and its annealing), 25 (inputs as the
          layers before, rounded, make them).
Departs:  layers are taken as linear: what acts on their outputs is not in the loss, which then is a
          quadratic form of the rounding and needs no batches, nor seed. It is divided by what
          rounding to the nearest gives, so that one weight of the regulariser suits all layers. In
          the end single roundings are turned while that lowers the error, and an output channel
          for which nearest was better keeps that. A step for each output channel,
          from the largest weight, not by the least squared error.
Notation: free = V, up = h(V), stretch = (gamma, zeta), sharpness = beta, pull = lambda.
"""

import copy
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.compress._fixed_point import fixed_point
from netwright.compress._rounding_by_error import RoundedLayer, inputs_of, layers_to_round

__all__ = ["adaround"]

_STRETCH = (-0.1, 1.1)
_SHARPNESS = (20.0, 2.0)  # first, last
_WARM = 0.2  # of the steps go by before the regulariser counts


def adaround(
    network: nn.Module,
    x: Float[Tensor, "batch *features"],
    bits: int | Mapping[str, int] = 4,
    *,
    steps: int = 500,
    learning_rate: float = 1e-2,
    pull: float = 3.0,
) -> dict[str, RoundedLayer]:
    """Round a network's linear layers and convolutions to fixed point, up or down as is learned.

    Args:
        network: changed in place, layer by layer in the order of its modules; it must not be
            constrained. Grouped convolutions are left alone.
        x: calibration rows, without labels.
        bits: of a code, for all layers or by the weight's name; from 2 to 16.
        steps: of Adam, for each layer.
        learning_rate: of Adam.
        pull: weight of the regulariser, which draws every rounding to up or down.

    Returns:
        For each weight that was rounded, how far its layer's outputs are from those of the network
        before: with the nearest values, and as rounded. Both receive what the rounded layers before
        make of `x`.

    Raises:
        ValueError: if `steps` is below 1, the network has no such weight, one that is no linear
            layer's or convolution's, or one that is held by a constraint.

    Cost: two passes over `x` for each layer, then for each step a product of its weight with a
        square matrix of its inputs.
    """
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; got {steps}.")
    layers = layers_to_round(network, bits)
    before = copy.deepcopy(network)
    found = {}
    for name, (layer, n_bits) in layers.items():
        given = inputs_of(network, layer, x)
        if given is None:
            continue  # the network does not use it
        path = name.rpartition(".")[0]
        wanted = inputs_of(before, before.get_submodule(path), x)
        assert wanted is not None
        flat = layer.weight.detach().reshape(len(layer.weight), -1)
        error = _Error(flat, wanted, given)
        rounded, found[name] = _learned(flat, error, n_bits, steps, learning_rate, pull)
        layer.weight.data.copy_(rounded.reshape(layer.weight.shape))
    return found


class _Error:
    # How far a layer's outputs are from what they were, by output channel, as a quadratic form:
    # |W x - R g|^2 = R G R' - 2 R C W' + W H W', with inputs x before and g now.
    def __init__(self, flat: Tensor, wanted: Tensor, given: Tensor) -> None:
        wanted, given = wanted.double(), given.double()  # sums over many rows
        outputs = wanted @ flat.double().T
        self.energy = outputs.square().sum(0)  # (outputs,)
        self.gram = given.T @ given
        self.cross = (given.T @ outputs).T  # (outputs, inputs)

    def of(self, rounded: Tensor) -> Tensor:
        quadratic = ((rounded @ self.gram) * rounded).sum(1)
        return quadratic - 2 * (rounded * self.cross).sum(1) + self.energy


@torch.enable_grad()
def _learned(
    flat: Tensor, error: _Error, bits: int, steps: int, learning_rate: float, pull: float
) -> tuple[Tensor, RoundedLayer]:
    grid = fixed_point(flat, bits=bits, axis=0)
    most = 2 ** (bits - 1) - 1
    step, nearest = grid.step.double(), grid.values.double()
    below = (flat.double() / step).floor()
    low, high = _STRETCH

    def values(up: Tensor) -> Tensor:
        return (below + up).clamp(-most, most) * step

    share = (flat.double() / step - below).clamp(1e-3, 1 - 1e-3)
    free = torch.logit((share - low) / (high - low)).requires_grad_()  # h(V) is where it stands
    unit = error.of(nearest).sum().clamp(min=1e-30)
    adam = torch.optim.Adam([free], lr=learning_rate)
    warm = round(_WARM * steps)
    for k in range(steps):
        up = (torch.sigmoid(free) * (high - low) + low).clamp(0, 1)
        loss = error.of(values(up)).sum() / unit
        if k >= warm:
            progress = (k - warm) / max(1, steps - warm)
            sharpness = _SHARPNESS[0] + (_SHARPNESS[1] - _SHARPNESS[0]) * progress
            loss = loss + pull * (1 - (2 * up - 1).abs() ** sharpness).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        learned = _turned(values((free > 0).double()), below * step, most * step, step, error)
        plain, reached = error.of(nearest), error.of(learned)
        learned[reached > plain] = nearest[reached > plain]
        energy = error.energy.sum().clamp(min=1e-30)
        moved = RoundedLayer(
            (plain.sum() / energy).item(), (torch.minimum(plain, reached).sum() / energy).item()
        )
    return learned.to(flat.dtype), moved


def _turned(rounded: Tensor, below: Tensor, most: Tensor, step: Tensor, error: _Error) -> Tensor:
    # In each row, the one weight whose other rounding lowers the error most, until none does; as
    # many turns as a row has weights, so that it ends.
    low, high = below.maximum(-most), (below + step).minimum(most)
    slope = rounded @ error.gram - error.cross  # half the derivative
    rows, diagonal = torch.arange(len(rounded)), error.gram.diagonal()
    least = 1e-12 * (error.energy + step[:, 0].square() * diagonal.sum())  # above what sums lose
    for _ in range(rounded.shape[1]):
        change = torch.where((rounded - low).abs() < (high - rounded).abs(), high, low) - rounded
        gain, place = (2 * change * slope + change.square() * diagonal).min(1)
        turns = gain < -least
        if not turns.any():
            break
        by = change[rows, place] * turns
        rounded[rows, place] += by
        slope += by[:, None] * error.gram[place]
    return rounded
