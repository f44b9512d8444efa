"""Losses that keep their gradient, and their direction, whatever the scale of the logits.

Paper:    Croce, Hein. Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
          Parameter-free Attacks. ICML 2020, arXiv:2003.01690. Equations 3 (DLR) and 6 (its targeted
          form).
Departs:  with three classes the targeted form divides by the span of all three logits, and with two
          both divide by one; the divisor is at least 1e-12.
Notation: logits = z, aims = t.
"""

from jaxtyping import Float, Int
from torch import Tensor

from netwright.audits.attack._outcome import margin

__all__ = ["logit_ratio", "targeted_logit_ratio"]

_TINY = 1e-12


def logit_ratio(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, "batch"]
) -> Float[Tensor, "batch"]:
    """Margin of the best other class over the distance from the first logit to the third.

    Args:
        logits: scores of the classes, at least two.
        y: true classes.

    Example:
        >>> import torch
        >>> logit_ratio(torch.tensor([[5.0, 3.0, 1.0]]), torch.tensor([0])).item()
        -0.5
    """
    if logits.shape[1] < 3:
        return margin(logits, y)
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2]).clamp_min(_TINY)


def targeted_logit_ratio(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, "batch"], aims: Int[Tensor, "batch"]
) -> Float[Tensor, "batch"]:
    """Logit of a wanted class minus that of the true one, over a span of the greatest logits.

    Args:
        logits: scores of the classes, at least two.
        y: true classes.
        aims: the wanted classes.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[5.0, 3.0, 1.0, 0.0]])
        >>> targeted_logit_ratio(logits, torch.tensor([0]), torch.tensor([2])).item()  # -4 / 4.5
        -0.8888888955116272
    """
    lead = logits.gather(1, aims[:, None])[:, 0] - logits.gather(1, y[:, None])[:, 0]
    n_classes = logits.shape[1]
    if n_classes < 3:
        return lead
    top = logits.topk(min(4, n_classes), dim=1).values
    return lead / (top[:, 0] - (top[:, 2] + top[:, -1]) / 2).clamp_min(_TINY)
