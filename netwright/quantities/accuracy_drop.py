"""Accuracy drop: what a change of the network has cost, on the same rows."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from netwright.data import Schema
from netwright.finding import Measurement
from netwright.measure import Subject, rate_drop
from netwright.requirement import Quantity

__all__ = ["QUANTITIES"]


def check(arguments: Mapping[str, Any], schema: Schema | None) -> None:
    """Refuse to be asked where there is nothing to compare with.

    Args:
        arguments: as given in the requirement.
        schema: of the task, once it is known.

    Raises:
        ValueError: if a task is known; `netwright compress`, which has both networks, does not ask.
    """
    if schema is not None:
        raise ValueError(
            "`accuracy_drop` compares a network with itself before compression; ask for it in "
            "`netwright compress`. Here, ask for `accuracy`."
        )


def measure(subject: Subject) -> Measurement:
    """Measure by how much accuracy fell, over rows that both networks have answered.

    Args:
        subject: with the outputs from before; several labels count when every one is right.

    Raises:
        ValueError: if the subject has no outputs from before.
    """
    if subject.before is None:
        raise ValueError(
            "`accuracy_drop` compares a network with itself before compression; `subject.before` "
            "is None."
        )
    y = subject.split.y
    return rate_drop(_right(subject.before, y), _right(subject.outputs, y))


def _right(outputs: Tensor, y: Tensor) -> Tensor:
    if y.ndim > 1:
        return ((outputs > 0) == (y > 0.5)).all(1)
    return outputs.argmax(1) == y


QUANTITIES = (
    Quantity(
        name="accuracy_drop",
        summary="accuracy lost by compression, on the same rows; for `netwright compress` only",
        dimension="points",
        better="lower",
        measure=measure,
        targets=("class", "labels"),
        check=check,
    ),
)
