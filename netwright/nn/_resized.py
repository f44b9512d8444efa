"""Give a network the sizes that compression has left: thinner layers, layers in factors, no norms.

Only shapes are made here, and the weights that fit into them cut from the front of the old ones;
what a smaller network has learned is loaded into it afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from netwright.nn._attention import SelfAttention

__all__ = ["in_factors", "join", "resized", "say_sizes"]


def resized(
    network: nn.Module,
    *,
    factors: Mapping[str, Sequence[int]] | None = None,
    joined: Iterable[Sequence[str]] = (),
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> nn.Module:
    """Change the shapes of a network's layers, in this order: factors, norms, sizes.

    Args:
        network: changed in place.
        factors: for the names of linear layers and convolutions, the ranks of the layers that
            replace each, as in `in_factors`.
        joined: pairs of names: a layer, and the batch normalisation behind it that it takes over.
        sizes: for the names of parameters and buffers, their shapes, none longer than before.

    Returns:
        The network; weights of factors are drawn from torch's global generator.

    Raises:
        ValueError: if the network has no such tensor, or it has no such shape to give.
    """
    for name, ranks in (factors or {}).items():
        path, _, attribute = name.rpartition(".")
        layers = in_factors(network.get_submodule(name), ranks)
        setattr(network.get_submodule(path), attribute, layers)
    for layer, norm in joined:
        join(network, layer, norm)
    attentions = [m for m in network.modules() if isinstance(m, SelfAttention)]
    rows = [len(attention.project_in.weight) // attention.n_heads for attention in attentions]
    left = {name: tuple(shape) for name, shape in (sizes or {}).items()}
    cut: dict[int, tuple[Tensor, Tensor]] = {}  # a tensor kept alive keeps its id
    for path, module in network.named_modules():
        for held in (module._parameters, module._buffers):
            for attribute, tensor in held.items():
                shape = left.pop(f"{path}.{attribute}" if path else attribute, None)
                if tensor is None or shape is None:
                    continue
                if id(tensor) not in cut:
                    cut[id(tensor)] = (tensor, _cut(tensor, shape))
                held[attribute] = cut[id(tensor)][1]  # type: ignore[assignment]
        say_sizes(module)
    for attention, each in zip(attentions, rows, strict=True):  # whole heads are gone
        attention.n_heads = len(attention.project_in.weight) // each
    if left:
        raise ValueError(f"`sizes` names `{next(iter(left))}`, which the network does not have.")
    return network


def in_factors(layer: nn.Module, ranks: Sequence[int]) -> nn.Sequential:
    """Make the thinner layers that replace one; the last has a bias if the layer has one.

    Their weights are drawn from torch's global generator.

    Args:
        layer: a linear layer or a convolution in two dimensions.
        ranks: one number, what passes between the two layers; or two, of a convolution: what leaves
            the middle one of three, and what enters it.

    Raises:
        ValueError: if the layer has groups, or the ranks are not for it.
    """
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear) and len(ranks) == 1:
        first = nn.Linear(layer.in_features, ranks[0], bias=False)
        return nn.Sequential(first, nn.Linear(ranks[0], layer.out_features, bias=bias))
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or len(ranks) not in (1, 2):
        raise ValueError(f"`ranks` {list(ranks)} cannot be had of {layer}.")
    into = layer.in_channels if len(ranks) == 1 else ranks[1]
    layers: list[nn.Module] = [] if len(ranks) == 1 else [
        nn.Conv2d(layer.in_channels, into, 1, bias=False)
    ]  # fmt: skip
    layers.append(
        nn.Conv2d(
            into,
            ranks[0],
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=False,
            padding_mode=layer.padding_mode,
        )
    )
    return nn.Sequential(*layers, nn.Conv2d(ranks[0], layer.out_channels, 1, bias=bias))


@torch.no_grad()
def join(network: nn.Module, layer: str, norm: str) -> None:
    """Let a layer do what the batch normalisation behind it does in eval mode.

    Args:
        network: changed in place; nothing but the norm reads what the layer makes.
        layer: name of a convolution or a linear layer; it gets a bias.
        norm: name of the normalisation, which passes everything on afterwards.

    Raises:
        ValueError: if one is of another kind.
    """
    made, after = network.get_submodule(layer), network.get_submodule(norm)
    if not isinstance(made, nn.Linear | _ConvNd) or not isinstance(after, _BatchNorm):
        raise ValueError(f"`{norm}`, {after}, cannot be joined to `{layer}`, {made}.")
    mean, var = after.running_mean, after.running_var
    if mean is None or var is None:
        raise ValueError(f"`{norm}` keeps no statistics, so that it cannot be joined to a layer.")
    scale = torch.rsqrt(var.double() + after.eps)
    scale = scale if after.weight is None else scale * after.weight.double()
    shift = torch.zeros_like(scale) if after.bias is None else after.bias.double()
    bias = torch.zeros_like(scale) if made.bias is None else made.bias.double()
    axis = 1 if isinstance(made, _ConvTransposeNd) else 0
    shape = [-1 if a == axis else 1 for a in range(made.weight.ndim)]
    weight = made.weight
    weight.copy_((weight.double() * scale.reshape(shape)).to(weight))
    made.bias = nn.Parameter((shift + (bias - mean.double()) * scale).to(weight))
    path, _, attribute = norm.rpartition(".")
    setattr(network.get_submodule(path), attribute, nn.Identity())


def say_sizes(module: nn.Module) -> None:
    """Correct what a layer says of its sizes; its parameters have them already.

    Args:
        module: changed in place; kinds that say nothing are left alone.
    """
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _ConvNd):
        out, into = module.weight.shape[:2]
        if module.groups > 1 and module.groups == module.in_channels:
            module.groups = out * module.groups // module.out_channels
        if isinstance(module, _ConvTransposeNd):
            out, into = into, out
        module.out_channels, module.in_channels = out, into * module.groups
    elif isinstance(module, _BatchNorm):
        sized = module.weight if module.weight is not None else module.running_mean
        module.num_features = module.num_features if sized is None else len(sized)


def _cut(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    fits = len(shape) == tensor.ndim and all(
        0 < n <= old for n, old in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"`sizes` asks for {shape} of a tensor of shape {tuple(tensor.shape)}.")
    part = tensor.detach()[tuple(slice(0, n) for n in shape)].clone()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(part, requires_grad=tensor.requires_grad)
    return part
