"""Loss and score of a network on a split."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from netwright.data._schema import Target
from netwright.data._task import Split
from netwright.learn._losses import loss_for, score_for

__all__ = ["Evaluation", "check_outputs", "evaluate"]


class Evaluation(NamedTuple):
    """How well a network does on a split.

    Attributes:
        loss: as in `loss_for`, without label smoothing.
        score: as in `score_for`; higher is better.
    """

    loss: float
    score: float


def evaluate(
    network: nn.Module, split: Split, target: Target, *, batch_size: int = 512
) -> Evaluation:
    """Measure loss and score over all rows of a split.

    Args:
        network: maps a batch of inputs to logits or values; its mode is kept, and it is run in eval
            mode on the device of its parameters.
        split: the rows.
        target: decides loss and score.
        batch_size: rows that are run at once; it bounds memory and changes no result beyond
            rounding.

    Raises:
        ValueError: if the split is empty.
    """
    if not len(split):
        raise ValueError("`split` has no rows to evaluate on.")
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    training = network.training
    network.eval()
    outputs: list[Tensor] = []
    try:
        with torch.no_grad():
            for x, _ in split.batches(batch_size):
                outputs.append(network(x.to(device)).float().cpu())
    finally:
        network.train(training)
    gathered, y = torch.cat(outputs), split.y.cpu()
    check_outputs(gathered, y, target)
    return Evaluation(loss_for(target)(gathered, y).item(), score_for(target)(gathered, y))


def check_outputs(outputs: Tensor, y: Tensor, target: Target) -> None:
    """Say so if a network's outputs do not fit the target; some losses would broadcast instead.

    Args:
        outputs: of a batch.
        y: its targets.
        target: what they are.

    Raises:
        ValueError: if `outputs` is not (batch, `target.width`).
    """
    if outputs.shape != (len(y), target.width):
        raise ValueError(
            f"`network` must give {(len(y), target.width)} outputs for {len(y)} examples and a "
            f"target of kind `{target.kind}`; got {tuple(outputs.shape)}."
        )
