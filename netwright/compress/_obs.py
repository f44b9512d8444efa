"""Prune weights one by one, and let those that stay make up for each, by the inverse Hessian.

Paper:    Hassibi, Stork. Second Order Derivatives for Network Pruning: Optimal Brain Surgeon.
          NeurIPS 1992, section 2, equation 5 (`obs`, `prune_obs`).
          Frantar, Alistarh. Optimal Brain Compression: A Framework for Accurate Post-Training
          Quantization and Pruning. NeurIPS 2022, arXiv:2208.11580, section 4, algorithms 1 and 2
          (`prune_obc`: the outputs of each layer by itself, a Hessian shared by its rows).
Departs:  the whole network's Hessian is computed once, exactly, not estimated by a recursion again
          after each weight; what is removed together is made up for at the end, all at once.
Notation: inverse = H^-1, rise = L_q.
"""

import copy
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from netwright.compress._magnitude import Kept, prune
from netwright.compress._weights import constraint, weights

__all__ = ["Operated", "obs", "prune_obc", "prune_obs"]

_MOST = 4000  # weights of a full Hessian: 128 MB
_AT_ONCE = 1 << 23  # numbers in the inverses of the rows that are worked on together


@dataclass(frozen=True, slots=True)
class Operated:
    """Rows of weights of which some have been removed.

    Attributes:
        weight: the rows, what is left made up for what is gone.
        kept: which elements are left.
        rise: by how much the quadratic loss has risen.
    """

    weight: Float[Tensor, "rows n"]
    kept: Bool[Tensor, "rows n"]
    rise: float


def obs(
    weight: Float[Tensor, "rows n"],
    hessian: Float[Tensor, "n n"],
    *,
    n_removed: int,
    damping: float = 0.0,
) -> Operated:
    """Remove the elements that raise a quadratic loss least, one after the other.

    The loss of every row w is (w - weight)' hessian (w - weight) / 2; rows add up.

    Args:
        weight: one row, or several that share a Hessian; at the minimum of the loss.
        hessian: symmetric, and positive definite together with the damping.
        n_removed: elements to remove, of all rows together.
        damping: added to the diagonal, in units of its mean.

    Raises:
        ValueError: if `n_removed` is not possible, or the Hessian is not positive definite.

    Cost: rows * n^3; each row is followed until nothing is left of it.

    Example:
        >>> alike = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
        >>> found = obs(torch.tensor([[1.0, 2.0]]), alike, n_removed=1)
        >>> [round(each, 4) for each in found.weight[0].tolist()]
        [0.0, 2.9]
    """
    if not 0 <= n_removed <= weight.numel():
        raise ValueError(f"`n_removed` must lie in 0..{weight.numel()}; got {n_removed}.")
    inverse = _inverse(hessian.double(), damping)
    rows = weight.detach().double()
    at_once = max(1, _AT_ONCE // max(1, rows.shape[1] ** 2))
    traces = [_removals(part, inverse) for part in rows.split(at_once)]
    order = torch.cat([each[0] for each in traces])
    rises = torch.cat([each[1] for each in traces]).tolist()
    counts = _cheapest(rises, n_removed)
    after, kept = rows.clone(), torch.ones_like(rows, dtype=torch.bool)
    for row, count in enumerate(counts):
        gone = order[row, :count]
        kept[row, gone] = False
        if count:  # equation 5 for several at once
            step = torch.linalg.solve(inverse[gone][:, gone], rows[row, gone])
            after[row] -= inverse[:, gone] @ step
    rise = sum(sum(each[:count]) for each, count in zip(rises, counts, strict=True))
    return Operated(after.masked_fill(~kept, 0.0).to(weight), kept, float(rise))


def prune_obs(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    keep: float,
    damping: float = 1e-4,
) -> Kept:
    """Prune a small network by its full Hessian.

    Args:
        network: changed in place, at a minimum of the loss; `settle` makes it plain again.
        batches: inputs and targets.
        loss: from outputs and targets to a mean.
        keep: share of all weights that is kept, in (0, 1].
        damping: added to the Hessian's diagonal, in units of its mean; at least as much as makes it
            positive definite.

    Returns:
        What is left.

    Raises:
        ValueError: if `keep` is outside (0, 1], a weight is constrained, there are more than 4000
            weights, no batch, or the Hessian is not positive definite.

    Cost: a backward pass for each weight and batch, and the cube of their number.
    """
    _check(network, keep)
    found = weights(network)
    flat = torch.cat([each.reshape(-1) for each in found.values()])
    if len(flat) > _MOST:
        raise ValueError(
            f"`network` has {len(flat)} weights; a full Hessian is for {_MOST} at most. "
            f"`prune_obc` goes layer by layer."
        )
    hessian = _hessian(network, list(found), batches, loss)
    done = obs(flat[None], hessian, n_removed=round((1 - keep) * len(flat)), damping=damping)
    sizes = [each.numel() for each in found.values()]
    parts = zip(found, done.weight[0].split(sizes), done.kept[0].split(sizes), strict=True)
    masks = {}
    for name, weight, kept in parts:
        _write(network, name, weight)
        masks[name] = kept.reshape(found[name].shape)
    return prune(network, masks)


@torch.no_grad()
def prune_obc(
    network: nn.Module,
    inputs: Iterable[Tensor],
    *,
    keep: Mapping[str, float],
    damping: float = 1e-4,
) -> Kept:
    """Prune layers so that their outputs change least, each layer by itself.

    Args:
        network: changed in place; `settle` makes it plain again.
        inputs: batches without targets; at least as many rows (or places of an image) as a layer
            has inputs, or the damping decides.
        keep: for the weight of each linear layer or convolution to prune, the share that is kept.
        damping: added to the diagonal of each layer's Hessian, in units of its mean.

    Returns:
        What is left, of all weights.

    Raises:
        ValueError: if a share is outside (0, 1], a weight is constrained or belongs to no linear
            layer or convolution of one group, or there is no batch.

    Cost: for a layer of n inputs (times pixels of the kernel) and m outputs, m * n^3.
    """
    layers: dict[str, nn.Linear | nn.Conv2d] = {}
    for name, share in keep.items():
        _check(network, share, name)
        path, _, attribute = name.rpartition(".")
        layer = network.get_submodule(path)
        whole = isinstance(layer, nn.Conv2d) and layer.groups == 1
        if attribute != "weight" or not (whole or isinstance(layer, nn.Linear)):
            raise ValueError(
                f"`{name}` must be the weight of a Linear or of a Conv2d of one group; its module "
                f"is {type(layer).__name__}."
            )
        layers[name] = layer  # type: ignore[assignment]
    sums = _second_moments(network, layers, inputs)
    masks = {}
    for name, share in keep.items():
        weight = layers[name].weight
        rows = weight.flatten(1)
        n_removed = rows.numel() - max(1, round(share * rows.numel()))
        done = obs(rows, sums[name], n_removed=n_removed, damping=damping)
        _write(network, name, done.weight)
        masks[name] = done.kept.reshape(weight.shape)
    return prune(network, masks)


def _inverse(hessian: Tensor, damping: float) -> Tensor:
    hessian = hessian + damping * hessian.diagonal().mean() * torch.eye(len(hessian)).to(hessian)
    root, failed = torch.linalg.cholesky_ex(hessian)
    if failed:
        raise ValueError(
            "`hessian` is not positive definite: some direction costs nothing. Give more rows, or "
            "a larger `damping`."
        )
    return torch.cholesky_inverse(root)


def _removals(rows: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    # Algorithm 1: for each row the order in which elements go, and what each raises the loss by.
    rows = rows.clone()
    n_rows, n = rows.shape
    each = torch.arange(n_rows, device=rows.device)
    inverses = inverse.expand(n_rows, n, n).clone()
    gone = torch.zeros_like(rows, dtype=torch.bool)
    order, rises = torch.empty_like(rows, dtype=torch.int64), torch.empty_like(rows)
    for step in range(n):
        diagonal = inverses.diagonal(dim1=1, dim2=2)
        rise = (rows.square() / (2 * diagonal)).masked_fill(gone, torch.inf)
        rises[:, step], place = rise.min(dim=1)
        order[:, step] = place
        column = inverses[each, :, place]  # (rows, n)
        pivot = diagonal[each, place].clone()
        rows -= (rows[each, place] / pivot)[:, None] * column
        inverses -= column[:, :, None] * (column / pivot[:, None])[:, None, :]
        gone[each, place] = True
        rows[gone] = 0.0  # and not nearly
        inverses[each, place, place] = 1.0  # keeps divisions finite; it is masked from now on
    return order, rises


def _cheapest(rises: list[list[float]], n_removed: int) -> list[int]:
    # How many elements go from each row: always from the row where the next one costs least.
    counts = [0] * len(rises)
    heap = [(each[0], row) for row, each in enumerate(rises) if each]
    heapq.heapify(heap)
    for _ in range(n_removed):
        _, row = heapq.heappop(heap)
        counts[row] += 1
        if counts[row] < len(rises[row]):
            heapq.heappush(heap, (rises[row][counts[row]], row))
    return counts


def _hessian(
    network: nn.Module,
    names: list[str],
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    network = copy.deepcopy(network).eval().requires_grad_(True)
    named = dict(network.named_parameters())
    found = [named[name] for name in names]
    total, n = torch.zeros(()), 0
    for x, y in batches:
        slopes = torch.autograd.grad(
            loss(network(x), y), found, create_graph=True, materialize_grads=True
        )
        flat = torch.cat([slope.reshape(-1) for slope in slopes])
        rows = [
            torch.autograd.grad(slope, found, retain_graph=True, materialize_grads=True)
            for slope in flat
        ]
        total = total + torch.stack([torch.cat([r.reshape(-1) for r in row]) for row in rows])
        n += 1
    if not n:
        raise ValueError("`batches` must hold at least one batch; got none.")
    return (total + total.T) / (2 * n)


def _second_moments(
    network: nn.Module, layers: Mapping[str, nn.Linear | nn.Conv2d], inputs: Iterable[Tensor]
) -> dict[str, Tensor]:
    # Half the squared change of outputs, summed over rows and places, has this Hessian.
    sums: dict[str, Tensor] = {}

    def listen(name: str) -> Callable[..., None]:
        def add(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen = args[0].detach()
            if isinstance(layer, nn.Conv2d):
                seen = _patches(layer, seen)
            seen = seen.reshape(-1, seen.shape[-1]).double()
            sums[name] = sums.get(name, 0.0) + seen.T @ seen

        return add

    handles = [layer.register_forward_pre_hook(listen(name)) for name, layer in layers.items()]
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        for x in inputs:
            network(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    for name in layers:
        if name not in sums:
            raise ValueError(f"`inputs` must hold a batch that reaches `{name}`; none did.")
    return sums


def _patches(layer: nn.Conv2d, images: Tensor) -> Tensor:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise ValueError(f"{layer} pads in a way that is not followed here; give numbers of zeros.")
    patches = functional.unfold(
        images, layer.kernel_size, layer.dilation, layer.padding, layer.stride
    )
    return patches.transpose(1, 2)  # (N, places, inputs times pixels)


def _check(network: nn.Module, keep: float, only: str = "") -> None:
    if not 0 < keep <= 1:
        raise ValueError(f"`keep` is a share of the weights, in (0, 1]; got {keep}.")
    for name in [only] if only else weights(network):
        if constraint(network, name) is not None:
            raise ValueError(f"`{name}` is constrained already; `settle` the network first.")


@torch.no_grad()
def _write(network: nn.Module, name: str, weight: Tensor) -> None:
    parameter = network.get_parameter(name)
    parameter.copy_(weight.reshape(parameter.shape))
