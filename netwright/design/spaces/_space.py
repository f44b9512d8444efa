"""A space of designs: a list of decisions, each with a few options."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from netwright.design._design import Design

__all__ = ["Code", "Decision", "Space", "count", "require_code"]

Code = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice that a design consists of.

    Attributes:
        name: for people, for example "normal cell, node 2, operation".
        options: JSON values to choose from.
        ordered: whether neighbouring options are alike, as widths are and operations are not.
    """

    name: str
    options: tuple[Any, ...]
    ordered: bool = False


@runtime_checkable
class Space(Protocol):
    """Designs that a strategy may propose.

    A code names an option of each decision by its place. Every code is a design that builds, so
    strategies sample, mutate and predict codes without knowing what they mean.
    """

    @property
    def decisions(self) -> tuple[Decision, ...]:  # honest: a protocol
        """What is to be decided, in the order in which a controller decides."""
        ...

    def design(self, code: Code) -> Design:  # honest: a protocol
        """Describe the design of a code. Its name is the same for equal networks and no others.

        Args:
            code: an option of each decision.

        Raises:
            ValueError: if the code has another length or names an option that is not there.
        """
        ...

    def canonical(self, code: Code) -> Code:  # honest: a protocol
        """Return the one code that stands for all codes of the same network.

        Args:
            code: an option of each decision.
        """
        ...


def count(space: Space) -> int:
    """Count the codes of a space; several may describe the same network.

    Args:
        space: any space.
    """
    return math.prod(len(decision.options) for decision in space.decisions)


def require_code(space: Space, code: Sequence[int]) -> None:
    """Check that a code is one of a space.

    Args:
        space: whose decisions the code must answer.
        code: an option of each decision.

    Raises:
        ValueError: if the code has another length or names an option that is not there.
    """
    decisions = space.decisions
    if len(code) != len(decisions):
        raise ValueError(f"A code of this space has {len(decisions)} numbers; got {len(code)}.")
    for place, decision in zip(code, decisions, strict=True):
        if not 0 <= place < len(decision.options):
            raise ValueError(
                f"{decision.name!r} has {len(decision.options)} options, numbered from 0; "
                f"got {place}."
            )
