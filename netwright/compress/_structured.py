"""Take whole channels out of a network, so that its layers really shrink.

Paper:    Li, Kadav, Durdanovic, Samet, Graf. Pruning Filters for Efficient ConvNets. ICLR 2017,
          arXiv:1608.08710, section 3.1 (`filter_norms`: sums of a filter's absolute weights).
          Molchanov, Mallya, Tyree, Frosio, Kautz. Importance Estimation for Neural Network Pruning.
          CVPR 2019, arXiv:1906.10771, equations 8 and 9 (`taylor`: the squared first-order effect
          of a removal, averaged over batches).
Departs:  channels that can only go together (`channels`) have one importance: the sum of the norms
          of their filters, or the effect of removing them together. Norms are compared between
          layers as multiples of the layer's mean, where Li et al. give each layer a share by hand.
          The effect is taken where channels are read, which is that of a gate after them.
Notation: importance = I_m, sum of |w| = s_i.
"""

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from netwright.compress._channels import Channels, channels
from netwright.measure import macs as count_macs
from netwright.nn import SelfAttention
from netwright.nn._resized import say_sizes

__all__ = [
    "Thinned",
    "channel_macs",
    "evaluated_copy",
    "filter_norms",
    "prune_channels",
    "remove_channels",
    "taylor",
]

_SAME = 1e-3  # of the largest output: far above rounding, far below a channel gone astray


@dataclass(frozen=True, slots=True)
class Thinned:
    """A network that has lost channels.

    Attributes:
        network: the smaller network, of the same modules.
        widths: for each weight that lost filters, how many it had and has.
        untouched: for each weight whose filters all had to stay, why.
        macs: multiply-accumulates of one example, before and after.
    """

    network: nn.Module
    widths: Mapping[str, tuple[int, int]]
    untouched: Mapping[str, str]
    macs: tuple[float, float]


def filter_norms(network: nn.Module, found: Channels) -> Float[Tensor, "channels"]:
    """Return each channel's importance by its filters' weights alone.

    Args:
        network: whose weights they are.
        found: its channels.

    Returns:
        Sums of absolute weights, as multiples of the mean over the channels alike.
    """
    tensors = dict(network.named_parameters())
    norms = torch.zeros(found.count)
    for name, axis in sorted(found.made):
        each = tensors[name].detach().abs().movedim(axis, 0).flatten(1).sum(1)
        _add(norms, found.places[name][axis], each)
    for alike in map(list, found.sets):
        norms[alike] /= norms[alike].mean().clamp(min=torch.finfo(norms.dtype).tiny)
    return norms


def taylor(
    network: nn.Module,
    found: Channels,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, "channels"]:
    """Return each channel's importance by what its removal would do to the loss, to first order.

    Args:
        network: in any mode; it is run in eval mode, and left as it is.
        found: its channels.
        batches: inputs and targets.
        loss: from outputs and targets to a mean, for example `loss_for(target)`.

    Returns:
        The squared change of the loss, averaged over the batches, in its units squared.

    Raises:
        ValueError: if there is no batch.

    Cost: a forward and a backward pass for each batch.
    """
    network = evaluated_copy(network)
    tensors = dict(network.named_parameters())
    slots = sorted(found.used)
    total, n = torch.zeros(found.count), 0
    for x, y in batches:
        gradients = torch.autograd.grad(
            loss(network(x), y), [tensors[name] for name, _ in slots], allow_unused=True
        )
        change = torch.zeros(found.count)
        for (name, axis), gradient in zip(slots, gradients, strict=True):
            if gradient is not None:
                each = (gradient * tensors[name].detach()).movedim(axis, 0).flatten(1).sum(1)
                _add(change, found.places[name][axis], each)
        total += change.square()
        n += 1
    if not n:
        raise ValueError("`batches` must hold at least one batch; got none.")
    return total / n


def channel_macs(
    network: nn.Module, x: Num[Tensor, "batch *input"], found: Channels
) -> Float[Tensor, "channels"]:
    """Return the multiply-accumulates of one example that the removal of each channel alone saves.

    An importance divided by them takes first what matters least for what it costs.

    Args:
        network: whose channels they are.
        x: one input or more.
        found: its channels.

    Cost: a forward pass for every set of channels alike.
    """
    saved = torch.zeros(found.count)
    before = count_macs(network, x[:1]).macs_per_example
    for alike in map(list, found.sets):
        if len(alike) > 1:
            without = _shrunk(network, found, alike[:1])
            saved[alike] = before - count_macs(without, x[:1]).macs_per_example
        else:  # it stays anyway, as the last one
            saved[alike] = before
    return saved


def prune_channels(
    network: nn.Module,
    x: Num[Tensor, "batch *input"],
    found: Channels,
    importance: Float[Tensor, "channels"],
    *,
    macs: float,
    least: int = 1,
    multiple: int = 1,
) -> Thinned:
    """Remove the least important channels until a network costs a share of what it did.

    Args:
        network: left as it is; train the smaller one afterwards.
        x: one input or more, to count multiply-accumulates.
        found: `channels(network, x)`.
        importance: of each channel: `filter_norms`, `taylor`, or any other, as it is or divided by
            `channel_macs`.
        macs: share of the multiply-accumulates that may stay, in (0, 1).
        least: channels that are kept of those alike, at least.
        multiple: as many channels are kept of those alike as fill whole groups of this size, which
            kernels like; as far as there are so many.

    Raises:
        ValueError: if `macs`, `least` or `multiple` makes no sense, or so few multiply-accumulates
            cannot be had.

    Cost: a forward pass for each of about log2(channels) trials, and for each block of channels
        that went, to see whether there is room for it after all.

    Example:
        >>> wide = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> x = torch.zeros(1, 4)
        >>> found = channels(wide, x)
        >>> prune_channels(wide, x, found, filter_norms(wide, found), macs=0.5).widths
        {'0.weight': (8, 4)}
    """
    if not 0 < macs < 1:
        raise ValueError(f"`macs` is the share that may stay, in (0, 1); got {macs}.")
    if least < 1 or multiple < 1:
        raise ValueError(f"`least` and `multiple` must be at least 1; got {least} and {multiple}.")
    if len(importance) != found.count:
        raise ValueError(
            f"`importance` must have a number for each of the {found.count} channels; got "
            f"{len(importance)}."
        )
    before = count_macs(network, x[:1]).macs_per_example
    order = importance.argsort().tolist()

    def cost(gone: set[int]) -> float:
        return count_macs(_shrunk(network, found, gone), x[:1]).macs_per_example / before

    def first(n: int) -> set[int]:
        return _gone(order[:n], order, found, least, multiple)

    low, high = 0, found.count
    least_share = cost(first(high))
    if least_share > macs:
        why = "; ".join(f"`{name}`: {reason}" for name, reason in found.untouched.items())
        raise ValueError(
            f"`macs` of {macs} cannot be had: when all channels go that can, with `least` {least} "
            f"and `multiple` {multiple}, {least_share:.3f} of them stay. Not touched: "
            f"{why or 'nothing'}."
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(first(middle)) <= macs else (middle, high)
    gone = first(high)
    for block in _blocks(gone, order, found, multiple):  # one large block may have been too much
        if cost(gone - block) <= macs:
            gone -= block
    return remove_channels(network, x, found, gone)


def remove_channels(
    network: nn.Module,
    x: Num[Tensor, "batch *input"],
    found: Channels,
    gone: Collection[int],
) -> Thinned:
    """Make a smaller network without some channels.

    The result computes what the network computes when nothing reads those channels; that is checked
    on `x`.

    Args:
        network: left as it is.
        x: inputs, for the check.
        found: `channels(network, x)`.
        gone: numbers of channels.

    Raises:
        ValueError: if a layer would lose all its channels, or the smaller network does not compute
            what it should, as where code counts on a number of channels.
    """
    smaller = _shrunk(network, found, gone)
    with torch.no_grad():
        wanted = _unread(network, found, gone).eval()(x)
        try:
            outputs = copy.deepcopy(smaller).eval()(x)
        except RuntimeError as error:
            raise ValueError(
                f"`network` ({type(network).__name__}) counts on its number of channels: without "
                f"some of them it fails: {error}"
            ) from error
    if not torch.allclose(outputs, wanted, rtol=0, atol=_SAME * (1e-6 + wanted.abs().max().item())):
        raise ValueError(
            f"`network` ({type(network).__name__}) computes with its number of channels: without "
            f"some of them its outputs differ by {(outputs - wanted).abs().max():.3g} from those "
            f"of the network that does not read them."
        )
    names = dict(network.named_parameters())
    after = dict(smaller.named_parameters())
    widths = {
        name: (names[name].shape[axis], after[name].shape[axis])
        for name, axis in sorted(found.made)
        if names[name].shape[axis] != after[name].shape[axis]
    }
    costs = (count_macs(network, x[:1]), count_macs(smaller, x[:1]))
    before, now = (cost.macs_per_example for cost in costs)
    return Thinned(smaller, widths, found.untouched, (before, now))


def evaluated_copy(network: nn.Module) -> nn.Module:
    """Copy a network for derivatives: in eval mode, all its parameters learning.

    Args:
        network: left as it is.
    """
    return copy.deepcopy(network).eval().requires_grad_(True)


def _add(totals: Tensor, places: Tensor, each: Tensor) -> None:
    totals.index_add_(0, places[places >= 0], each[places >= 0].to(totals))


def _gone(
    wanted: Collection[int], order: list[int], found: Channels, least: int, multiple: int
) -> set[int]:
    # Of channels alike the least important go, as many as wanted, up to what has to be kept.
    wanted, rank = set(wanted), {channel: place for place, channel in enumerate(order)}
    gone: set[int] = set()
    for alike in found.sets:
        kept = max(least, sum(channel not in wanted for channel in alike))
        kept = -(-kept // multiple) * multiple
        gone |= set(sorted(alike, key=rank.__getitem__)[: max(0, len(alike) - kept)])
    return gone


def _blocks(gone: set[int], order: list[int], found: Channels, multiple: int) -> list[set[int]]:
    # What might come back: of channels alike the most important first, whole blocks, and not much
    # less than an eighth of them at once, since each trial costs a forward pass.
    rank = {channel: place for place, channel in enumerate(order)}
    blocks = []
    for alike in found.sets:
        lost = sorted(gone & set(alike), key=rank.__getitem__, reverse=True)
        size = multiple * max(1, len(alike) // (8 * multiple))
        blocks += [lost[i : i + size] for i in range(0, len(lost), size)]
    blocks.sort(key=lambda block: max(rank[channel] for channel in block), reverse=True)
    return [set(block) for block in blocks]


def _unread(network: nn.Module, found: Channels, gone: Collection[int]) -> nn.Module:
    network = copy.deepcopy(network)
    tensors = dict(network.named_parameters())
    for name, axis in found.used:
        lost = torch.isin(found.places[name][axis], torch.tensor(sorted(gone)))
        tensors[name].data.movedim(axis, 0)[lost] = 0.0
    return network


def _shrunk(network: nn.Module, found: Channels, gone: Collection[int]) -> nn.Module:
    network = copy.deepcopy(network)
    lost = torch.tensor(sorted(gone), dtype=torch.int64)
    attentions = [m for m in network.modules() if isinstance(m, SelfAttention)]
    rows = [len(attention.project_in.weight) // attention.n_heads for attention in attentions]
    names = {id(t): n for n, t in (*network.named_parameters(), *network.named_buffers())}
    smaller: dict[int, tuple[Tensor, Tensor]] = {}  # a tensor kept alive keeps its id
    for module in tuple(network.modules()):
        for held in (module._parameters, module._buffers):
            for attribute, tensor in held.items():
                if tensor is None:
                    continue
                if id(tensor) not in smaller:
                    places = found.places[names[id(tensor)]]
                    sliced = _sliced(tensor, names[id(tensor)], places, lost)
                    smaller[id(tensor)] = (tensor, sliced)
                held[attribute] = smaller[id(tensor)][1]  # type: ignore[assignment]
        say_sizes(module)
    for attention, each in zip(attentions, rows, strict=True):
        attention.n_heads = len(attention.project_in.weight) // each
    return network


def _sliced(tensor: Tensor, name: str, places: tuple[Tensor, ...], lost: Tensor) -> Tensor:
    kept = [~torch.isin(numbers, lost) for numbers in places]
    if all(bool(each.all()) for each in kept):
        return tensor
    if not all(bool(each.any()) for each in kept):
        raise ValueError(f"`gone` holds all channels of `{name}`; one has to stay.")
    sliced = tensor.detach()
    for axis, each in enumerate(kept):
        sliced = sliced.index_select(axis, each.nonzero()[:, 0])
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(sliced, requires_grad=tensor.requires_grad)
    return sliced
