"""Optimisers for a network: which parameters decay, and torch's fused kernels.

Paper:    adamw: Loshchilov, Hutter. Decoupled Weight Decay Regularization. ICLR 2019,
          arXiv:1711.05101, algorithm 2. sgd: Sutskever et al. On the importance of initialization
          and momentum in deep learning. ICML 2013, equations 3 and 4 (Nesterov).
Departs:  biases, norm scales and other vectors, and embedding tables, are not decayed.
Notation: weight_decay = lambda.
"""

import torch
from torch import nn

__all__ = ["adamw", "sgd"]


def adamw(
    network: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """Make AdamW over the network's trainable parameters.

    Args:
        network: whose parameters it changes.
        learning_rate: step size.
        weight_decay: decoupled; each step shrinks a weight by `learning_rate * weight_decay` of it.
        betas: decay, per step, of the averages of gradient and squared gradient.

    Raises:
        ValueError: if the network has no trainable parameter.
    """
    groups = _groups(network, weight_decay)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def sgd(
    network: nn.Module, *, learning_rate: float, weight_decay: float, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """Make SGD with Nesterov momentum over the network's trainable parameters.

    Args:
        network: whose parameters it changes.
        learning_rate: step size.
        weight_decay: added to the gradient as an L2 penalty.
        momentum: share of the last step that is kept, in (0, 1).

    Raises:
        ValueError: if the network has no trainable parameter.
    """
    groups = _groups(network, weight_decay)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=True, fused=True)


def _groups(network: nn.Module, weight_decay: float) -> list[dict]:
    tables = {
        id(module.weight)
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    trainable = [p for p in network.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError("`network` has no trainable parameter; nothing can be learned.")
    kept = [p for p in trainable if p.ndim <= 1 or id(p) in tables]
    decayed = [p for p in trainable if not (p.ndim <= 1 or id(p) in tables)]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
