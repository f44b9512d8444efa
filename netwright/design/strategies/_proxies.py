"""Score networks that have not been trained: zero-cost proxies.

Paper:    synflow: Tanaka, Kunin, Yamins, Ganguli. Pruning neural networks without any data by
          iteratively conserving synaptic flow. NeurIPS 2020, arXiv:2006.05467, equation 1; summed
          over a network as in Abdelfattah, Mehrotra, Dudziak, Lane. Zero-Cost Proxies for
          Lightweight NAS. ICLR 2021, arXiv:2101.08134, section 3.2.
          jacobian_covariance: Mellor, Turner, Storkey, Crowley. Neural Architecture Search without
          Training. 2020, arXiv:2006.04647v1, section 4.
          naswot: the same. ICML 2021, arXiv:2006.04647v3, equation 2.
Departs:  synflow is computed in double precision and returned as a logarithm, since the product of
          many layers overflows; batch normalisation, which would undo the flow, is left out of it.
Notation: kernel = K_H, noise = k = 1e-5.
"""

import copy
import math

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

__all__ = ["jacobian_covariance", "naswot", "synflow"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)
_NOISE = 1e-5


def synflow(network: nn.Module, x: Shaped[Tensor, "batch *input"]) -> float:
    """Sum what every weight adds to the flow of ones through the network of absolute weights.

    Args:
        network: freshly initialised; left as it is. Takes floats.
        x: rows of which only the shape is looked at.

    Returns:
        The natural logarithm of the sum; minus infinity if nothing flows. Larger promises more.
    """
    flowing = copy.deepcopy(network).double().eval()
    for name, module in list(flowing.named_modules()):
        if isinstance(module, _NORMS) and name:
            parent = flowing.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], nn.Identity())
    with torch.no_grad():
        for weight in flowing.parameters():
            weight.abs_().requires_grad_(True)
    ones = torch.ones(1, *x.shape[1:], dtype=torch.float64, device=x.device)
    flowing(ones).sum().backward()
    total = sum(
        (weight * weight.grad).abs().sum().item()
        for weight in flowing.parameters()
        if weight.grad is not None
    )
    return math.log(total) if total > 0 else -math.inf


def jacobian_covariance(network: nn.Module, x: Shaped[Tensor, "batch *input"]) -> float:
    """Say how differently a network's outputs react to different rows.

    Args:
        network: freshly initialised; left as it is. Takes floats.
        x: a few dozen rows of the task, at least two.

    Returns:
        Minus the sum of log v + 1 / v over the eigenvalues v of the rows' correlation; it is
        largest, minus the number of rows, where no two rows' gradients are correlated. Minus
        infinity where some row does not reach the output.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    _require_rows(x)
    asked = copy.deepcopy(network).eval()
    rows = x.clone().requires_grad_(True)
    total = asked(rows).sum()
    gradients = None
    if total.requires_grad:
        (gradients,) = torch.autograd.grad(total, rows, allow_unused=True)
    if gradients is None:  # no way leads from the input to the output
        return -math.inf
    flat = gradients.flatten(1).double()  # (rows, inputs)
    centred = flat - flat.mean(dim=1, keepdim=True)
    lengths = centred.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all()):
        return -math.inf  # a row to which nothing reacts
    values = torch.linalg.eigvalsh((centred / lengths) @ (centred / lengths).T).clamp_min(0)
    values = values + _NOISE
    return -(values.log() + 1 / values).sum().item()


def naswot(network: nn.Module, x: Shaped[Tensor, "batch *input"]) -> float:
    """Say how differently a network's ReLUs switch on different rows.

    Args:
        network: freshly initialised; left as it is.
        x: a few dozen rows of the task, at least two.

    Returns:
        The logarithm of the determinant of the matrix that counts, for each two rows, the ReLUs
        that agree; minus infinity if two rows switch all alike or there are no ReLUs.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    _require_rows(x)
    asked = copy.deepcopy(network).eval()
    kernel = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        is_on = (inputs[0].detach().flatten(1) > 0).double()
        kernel.add_(is_on @ is_on.T + (1 - is_on) @ (1 - is_on).T)

    for module in asked.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        asked(x)
    sign, logarithm = torch.linalg.slogdet(kernel)
    return logarithm.item() if sign > 0 else -math.inf


def _require_rows(x: Tensor) -> None:
    if len(x) < 2:
        raise ValueError(f"`x` must hold at least two rows, to be compared; got {len(x)}.")
