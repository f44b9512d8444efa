"""Replace a layer by two thinner ones: the best approximation of its weight by few directions.

Paper:    Denton, Zaremba, Bruna, LeCun, Fergus. Exploiting Linear Structure Within Convolutional
          Networks for Efficient Evaluation. NeurIPS 2014, arXiv:1404.0736, section 3 (`svd`; for
          convolutions `channel_split`).
          Jaderberg, Vedaldi, Zisserman. Speeding up Convolutional Neural Networks with Low Rank
          Expansions. BMVC 2014, arXiv:1405.3866, scheme 2 (`spatial_split`: columns, then rows).
Departs:  all three are truncated singular value decompositions of an unfolded weight, the best
          there are in the sum of squares (Eckart, Young 1936); outputs are not fitted.
Notation: rank = K; the singular values go to both factors evenly.
"""

from torch import nn

from netwright.compress._factored import Factored, Rank, chain, check_whole, part, truncated

__all__ = ["channel_split", "spatial_split", "svd"]


def svd(layer: nn.Linear, *, rank: Rank) -> Factored:
    """Replace a linear layer by two, the first without bias.

    Args:
        layer: left as it is.
        rank: units between the two, or what chooses it: `by_energy`, `by_parameters`.

    Raises:
        ValueError: if `rank` is not possible.

    Example:
        >>> found = svd(nn.Linear(6, 4), rank=2)
        >>> [tuple(each.weight.shape) for each in found.layers]
        [(2, 6), (4, 2)]
    """
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"`layer` must be a Linear; got {layer}.")
    left, right = truncated(layer.weight, rank)
    n = len(right)
    kwargs = {"device": layer.weight.device, "dtype": layer.weight.dtype}
    bias = layer.bias is not None
    first = nn.utils.skip_init(nn.Linear, layer.in_features, n, bias=False, **kwargs)
    second = nn.utils.skip_init(nn.Linear, n, layer.out_features, bias=bias, **kwargs)
    return chain(layer, [(first, right), (second, left)], (n,), left @ right)


def channel_split(layer: nn.Conv2d, *, rank: Rank) -> Factored:
    """Replace a convolution by one of fewer filters, and one of single pixels that mixes them.

    Args:
        layer: left as it is; of one group.
        rank: filters of the first, or what chooses it.

    Raises:
        ValueError: if `rank` is not possible, or the convolution has groups.
    """
    check_whole(layer)
    left, right = truncated(layer.weight.flatten(1), rank)
    n, bias = len(right), layer.bias is not None
    first = part(layer, layer.in_channels, n, rows=True, columns=True)
    second = part(layer, n, layer.out_channels, rows=False, columns=False, bias=bias)
    parts = [
        (first, right.reshape(first.weight.shape)),
        (second, left.reshape(second.weight.shape)),
    ]
    return chain(layer, parts, (n,), (left @ right).reshape(layer.weight.shape))


def spatial_split(layer: nn.Conv2d, *, rank: Rank) -> Factored:
    """Replace a convolution by one along columns, then one along rows.

    Args:
        layer: left as it is; of one group.
        rank: channels between the two, or what chooses it.

    Raises:
        ValueError: if `rank` is not possible, or the convolution has groups.
    """
    check_whole(layer)
    out, into, height, width = layer.weight.shape
    unfolded = layer.weight.permute(0, 3, 1, 2).reshape(out * width, into * height)
    left, right = truncated(unfolded, rank)
    n, bias = len(right), layer.bias is not None
    first = part(layer, into, n, rows=True, columns=False)
    second = part(layer, n, out, rows=False, columns=True, bias=bias)
    across = left.reshape(out, width, n).permute(0, 2, 1)  # (out, rank, width)
    product = (left @ right).reshape(out, width, into, height).permute(0, 2, 3, 1)
    parts = [(first, right.reshape(first.weight.shape)), (second, across[:, :, None])]
    return chain(layer, parts, (n,), product)
