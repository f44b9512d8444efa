"""Find the heads of a network's attention, so that whole ones can be taken out.

Paper:    Michel, Levy, Neubig. Are Sixteen Heads Really Better than One? NeurIPS 2019,
          arXiv:1905.10650, section 2.3 (gates), 4.1 (equation 2, the expected size of the loss's
          derivative by a head's gate; scores of each layer divided by their length).
Departs:  what is least important goes at once or as often as one likes, not a tenth at a time; a
          head of each layer has to stay, since `remove_layers` takes out whole layers.
Notation: importance = I_h, gates = xi_h.
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from netwright.compress._channels import Channels
from netwright.compress._structured import evaluated_copy
from netwright.nn import SelfAttention

__all__ = ["head_importance", "heads"]


def heads(network: nn.Module) -> Channels:
    """Number the heads of all attention layers, each as a channel that `prune_channels` can remove.

    A head is a share of the rows that make queries, keys and values, and the columns that read what
    it gathers: `remove_channels`, `channel_macs`, `filter_norms` and `taylor` work with them as
    with channels.

    Args:
        network: whose attention is `netwright.nn.SelfAttention`; nothing is changed.

    Raises:
        ValueError: if the network has no such attention, or its weights are held by a constraint.

    Example:
        >>> from netwright.nn import TextTransformer
        >>> found = heads(TextTransformer(9, 8, length=5, n_heads=2, n_blocks=3))
        >>> found.sets
        ((0, 1), (2, 3), (4, 5))
    """
    tensors = dict((*network.named_parameters(), *network.named_buffers()))
    places = {
        name: [torch.full((length,), -1) for length in tensor.shape]
        for name, tensor in tensors.items()
    }
    sets, made, used, untouched, count = [], set(), set(), {}, 0
    for path, attention in _attentions(network).items():
        inner = f"{path}.project_in" if path else "project_in"
        outer = f"{path}.project_out.weight" if path else "project_out.weight"
        if not {f"{inner}.weight", outer} <= set(tensors):
            raise ValueError(
                f"The weights of `{path}` are held by a constraint, or shared with another layer: "
                f"`settle` the network, or leave that layer as it is."
            )
        if attention.n_heads == 1:
            untouched[f"{inner}.weight"] = "it has one head, which has to stay"
            continue
        numbers = torch.arange(count, count + attention.n_heads)
        size = attention.project_out.in_features // attention.n_heads
        each = numbers.repeat_interleave(size)
        for name in (f"{inner}.weight", f"{inner}.bias"):
            if name in places:
                places[name][0] = each.repeat(3)  # queries, keys, values
        places[outer][1] = each
        made.add((f"{inner}.weight", 0))
        used.add((outer, 1))
        sets.append(tuple(numbers.tolist()))
        count += attention.n_heads
    return Channels(
        {name: tuple(axes) for name, axes in places.items()},
        tuple(sets),
        frozenset(made),
        frozenset(used),
        untouched,
    )


def head_importance(
    network: nn.Module,
    found: Channels,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, "heads"]:
    """Return how much the loss depends on each head, by the derivatives of gates after them.

    Args:
        network: in any mode; it is run in eval mode, and left as it is.
        found: its heads.
        batches: inputs and targets.
        loss: from outputs and targets to a mean over the batch, for example `loss_for(target)`; an
            example's loss must depend on that example alone.

    Returns:
        The mean over examples of the derivative's size, as a share of the length of those of the
        same layer.

    Raises:
        ValueError: if there is no batch.

    Cost: a forward and a backward pass for each batch.
    """
    network = evaluated_copy(network)
    gates: dict[str, Tensor] = {}

    def gated(path: str, n_heads: int) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
        def hook(module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
            (gathered,) = given  # (B, T, heads * size)
            gates[path] = gathered.new_ones(len(gathered), n_heads, requires_grad=True)
            by_head = gathered.unflatten(-1, (n_heads, -1))
            return ((by_head * gates[path][:, None, :, None]).flatten(-2),)

        return hook

    layers = {path: a for path, a in _attentions(network).items() if a.n_heads > 1}
    for path, attention in layers.items():
        attention.project_out.register_forward_pre_hook(gated(path, attention.n_heads))
    total, n = torch.zeros(found.count), 0
    for x, y in batches:
        value = loss(network(x), y) * len(x)  # each example's own loss, summed
        by_gate = torch.autograd.grad(value, [gates[path] for path in layers])
        total += torch.cat([each.abs().sum(0) for each in by_gate])
        n += len(x)
    if not n:
        raise ValueError("`batches` must hold at least one batch; got none.")
    for alike in map(list, found.sets):
        total[alike] /= total[alike].norm().clamp(min=torch.finfo(total.dtype).tiny)
    return total


def _attentions(network: nn.Module) -> dict[str, SelfAttention]:
    found = {path: m for path, m in network.named_modules() if isinstance(m, SelfAttention)}
    if not found:
        raise ValueError(
            f"`network` ({type(network).__name__}) has no attention layer with heads that can be "
            f"taken out: those are `netwright.nn.SelfAttention`."
        )
    return found
