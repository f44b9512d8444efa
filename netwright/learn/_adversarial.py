"""Train on inputs that an attacker has changed, so that small changes stop mattering.

Paper:    pgd: Madry, Makelov, Schmidt, Tsipras, Vladu. Towards Deep Learning Models Resistant to
          Adversarial Attacks. ICLR 2018, arXiv:1706.06083, equation 2.1.
          trades: Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan. Theoretically Principled Trade-off
          between Robustness and Accuracy. ICML 2019, arXiv:1901.08573, equation 5, Algorithm 1.
          fast: Wong, Rice, Kolter. Fast Is Better than Free. ICLR 2020, arXiv:2001.03994,
          Algorithm 3.
          free: Shafahi, Najibi, Ghiasi, Xu, Dickerson, Studer, Davis, Taylor, Goldstein.
          Adversarial Training for Free! NeurIPS 2019, arXiv:1904.12843, Algorithm 1.
Departs:  the radius grows linearly over the first fifth of the training; changed inputs are made in
          eval mode; free starts each epoch without a change.
Notation: radius = epsilon, n_steps = K (m for free), weight of trades = 1 / lambda = 6.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from netwright.learn._threat import Threat

__all__ = ["fast", "free", "pgd", "trades"]

_WEIGHT = 6.0
Loss = Callable[[Tensor, Tensor], Tensor]


def pgd(
    model: Any, x: Float[Tensor, "batch *input"], y: Tensor, loss: Loss, threat: Threat
) -> Tensor:
    """Loss on inputs moved by several gradient steps from a random start.

    Args:
        model: maps inputs to outputs.
        x: images in [0, 1].
        y: their targets.
        loss: maps (outputs, targets) to the mean loss.
        threat: the attacker.

    Cost: `n_steps` further passes forward and back.
    """
    moved = _ascend(model, x, lambda outputs: loss(outputs, y), threat, threat.start(x))
    return loss(model(moved).float(), y)


def fast(
    model: Any, x: Float[Tensor, "batch *input"], y: Tensor, loss: Loss, threat: Threat
) -> Tensor:
    """Loss on inputs moved by one large gradient step from a random start.

    At large radii a network may learn to fool this one step; `gradient_masking` shows it.

    Args:
        model: maps inputs to outputs.
        x: images in [0, 1].
        y: their targets.
        loss: maps (outputs, targets) to the mean loss.
        threat: the attacker; its number of steps is not used.

    Cost: one further pass forward and back.
    """
    start = threat.start(x)
    moved = _ascend(
        model, x, lambda outputs: loss(outputs, y), threat, start, n_steps=1, share=1.25
    )
    return loss(model(moved).float(), y)


def trades(
    model: Any, x: Float[Tensor, "batch *input"], y: Tensor, loss: Loss, threat: Threat
) -> Tensor:
    """Loss on the inputs themselves, plus how far the answer can be moved nearby.

    Args:
        model: maps inputs to logits of classes.
        x: images in [0, 1].
        y: their classes.
        loss: maps (logits, classes) to the mean loss.
        threat: the attacker.

    Cost: `n_steps + 1` further passes forward, and `n_steps` back.
    """
    model.eval()
    with torch.no_grad():
        said = model(x).float().softmax(dim=1)
    model.train()

    def apart(outputs: Tensor) -> Tensor:
        return functional.kl_div(outputs.float().log_softmax(dim=1), said, reduction="sum")

    kind = {"dtype": x.dtype, "device": x.device, "generator": threat.generator}
    start = threat.project(1e-3 * torch.randn(x.shape, **kind))  # at `x` the gradient is zero
    moved = _ascend(model, x, apart, threat, start)
    plain = model(x).float()
    there = model(moved).float().log_softmax(dim=1)
    distance = functional.kl_div(
        there, plain.log_softmax(1), reduction="batchmean", log_target=True
    )
    return loss(plain, y) + _WEIGHT * distance


def free(
    model: Any, x: Float[Tensor, "batch *input"], y: Tensor, loss: Loss, threat: Threat
) -> Tensor:
    """Loss on inputs moved by what earlier steps found; the same backward pass moves them further.

    Each batch is used `n_steps` times in a row, which is where its changes come from.

    Args:
        model: maps inputs to outputs.
        x: images in [0, 1].
        y: their targets.
        loss: maps (outputs, targets) to the mean loss.
        threat: the attacker, who remembers the change.

    Cost: none beyond the replays.
    """
    before = threat.carried
    if before is None or before.shape != x.shape:
        before = torch.zeros_like(x)
    moved = (x + threat.project(before)).clamp(0.0, 1.0).detach().requires_grad_(True)

    def remember(gradient: Tensor) -> None:
        further = moved.detach() - x + threat.step(gradient.detach(), threat.reach)
        threat.carried = threat.project(further)

    moved.register_hook(remember)
    return loss(model(moved).float(), y)


def _ascend(
    model: Any,
    x: Tensor,
    objective: Callable[[Tensor], Tensor],
    threat: Threat,
    start: Tensor,
    *,
    n_steps: int | None = None,
    share: float | None = None,
) -> Tensor:
    # In eval mode: statistics of batches and dropout belong to the training pass alone.
    n_steps = threat.n_steps if n_steps is None else n_steps
    share = 2.5 / n_steps if share is None else share
    moved = (x + start).clamp(0.0, 1.0)
    model.eval()
    for _ in range(n_steps):
        leaf = moved.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(model(leaf).float()), leaf)
        moved = leaf.detach() + threat.step(gradient, share * threat.reach)
        moved = (x + threat.project(moved - x)).clamp(0.0, 1.0)
    model.train()
    return moved.detach()
