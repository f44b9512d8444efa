"""Prune the weights whose removal would raise the loss least, by the diagonal of the Hessian.

Paper:    LeCun, Denker, Solla. Optimal Brain Damage. NeurIPS 1989, section 2, equations 3 to 8.
          Bekas, Kokiopoulou, Saad. An estimator for the diagonal of a matrix. Applied Numerical
          Mathematics 57, 2007, section 2 (products with random signs).
Departs:  the paper propagates the diagonal backwards and drops what lies beside it in every layer;
          here it is estimated without bias, and exact from one draw where nothing lies beside it.
Notation: saliency = s_k = h_kk u_k^2 / 2.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.compress._magnitude import Kept, prune
from netwright.compress._weights import settle, weights

__all__ = ["hessian_diagonal", "obd_saliency", "prune_by_saliency"]


def hessian_diagonal(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    n_draws: int = 8,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Estimate the second derivative of the loss by each weight, averaged over batches.

    Args:
        network: run in eval mode, and left as it is.
        batches: inputs and targets.
        loss: from outputs and targets to a mean.
        n_draws: vectors of random signs for each batch; the error falls with the root of all draws.
        generator: of the signs, on the CPU; torch's global one if None.

    Returns:
        For each weight (a parameter of two axes or more) a tensor of its shape.

    Raises:
        ValueError: if there is no batch, or `n_draws` is below 1.

    Cost: a forward and 1 + `n_draws` backward passes for each batch.
    """
    if n_draws < 1:
        raise ValueError(f"`n_draws` must be at least 1; got {n_draws}.")
    network = copy.deepcopy(network).eval()
    settle(network)
    network.requires_grad_(True)
    named = dict(network.named_parameters())
    found = {name: named[name] for name in weights(network)}
    total = [torch.zeros_like(each) for each in found.values()]
    n = 0
    for x, y in batches:
        slopes = torch.autograd.grad(
            loss(network(x), y), list(found.values()), create_graph=True, materialize_grads=True
        )
        for _ in range(n_draws):
            signs = [
                (torch.randint(2, w.shape, generator=generator) * 2 - 1).to(w)
                for w in found.values()
            ]
            curved = _curvature(slopes, list(found.values()), signs)
            for each, sign, curve in zip(total, signs, curved, strict=True):
                each += sign * curve
        n += n_draws
    if not n:
        raise ValueError("`batches` must hold at least one batch; got none.")
    return {name: each / n for name, each in zip(found, total, strict=True)}


def obd_saliency(
    network: nn.Module, diagonal: Mapping[str, Float[Tensor, "*_"]]
) -> dict[str, Tensor]:
    """Return how much the loss would rise without each weight, to second order.

    Args:
        network: at a minimum of the loss, where the first order is nothing.
        diagonal: as from `hessian_diagonal`.
    """
    found = weights(network)
    return {name: curve * found[name].square() / 2 for name, curve in diagonal.items()}


def prune_by_saliency(
    network: nn.Module, saliency: Mapping[str, Float[Tensor, "*_"]], *, keep: float
) -> Kept:
    """Keep the weights that matter most, over all layers together.

    Args:
        network: changed in place; `settle` makes it plain again.
        saliency: for each weight to prune, how much every element matters.
        keep: share of these elements that is kept, in (0, 1].

    Returns:
        What is left, of all weights.

    Raises:
        ValueError: if `keep` is outside (0, 1], or the network has no such weight.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"`keep` is a share of the weights, in (0, 1]; got {keep}.")
    flat = torch.cat([each.reshape(-1) for each in saliency.values()])
    chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    chosen[flat.topk(max(1, round(keep * len(flat)))).indices] = True
    parts = chosen.split([each.numel() for each in saliency.values()])
    masks = {
        name: part.reshape(each.shape)
        for (name, each), part in zip(saliency.items(), parts, strict=True)
    }
    return prune(network, masks)


def _curvature(
    slopes: Sequence[Tensor], found: Sequence[Tensor], vector: Sequence[Tensor]
) -> Sequence[Tensor]:
    # The Hessian times a vector; nothing where the loss is a straight line.
    product = sum((slope * v).sum() for slope, v in zip(slopes, vector, strict=True))
    if not isinstance(product, Tensor) or not product.requires_grad:
        return [torch.zeros_like(each) for each in found]
    return torch.autograd.grad(product, found, retain_graph=True, materialize_grads=True)
