"""A design: a network and its training, described as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from netwright.finding import Measurement
from netwright.learn._recipe import Recipe

__all__ = ["AXES", "Axis", "Candidate", "Design", "Strategy"]

Axis = Literal["epochs", "rows", "resolution"]
AXES: tuple[Axis, ...] = ("epochs", "rows", "resolution")


@dataclass(frozen=True, slots=True)
class Design:
    """A serialisable description of an architecture and of how it is trained.

    Attributes:
        name: for people, for example "residual CNN, small".
        family: a name from `design`'s families, for example "residual_cnn".
        parameters: the family's arguments, plain JSON values.
        recipe: how it is trained.
    """

    name: str
    family: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a strategy asks to have trained and measured.

    Attributes:
        number: place in the ledger, from 0.
        design: what to build.
        fidelity: share of a full training, in (0, 1].
        parent: candidate whose trained weights to start from; None starts afresh.
        axis: what a fidelity below 1 cuts: the "epochs", so that the training ends earlier; the
            "rows", of which so many are looked at as often as in a full training; or the
            "resolution", images of so many of the pixels, for as many steps as in a full training.
            The cost is about the same.
    """

    number: int
    design: Design
    fidelity: float = 1.0
    parent: int | None = None
    axis: Axis = "epochs"

    @property
    def is_shrunk(self) -> bool:
        """Whether it is trained and measured on smaller images than the task's."""
        return self.axis == "resolution" and self.fidelity < 1


@runtime_checkable
class Strategy(Protocol):
    """A search: it proposes candidates and learns from what they turned out to be."""

    @property
    def remaining(self) -> float:  # honest: a protocol
        """Fidelity of all that was asked for but not told yet, and of all that is still to come.

        The share of what is left of the budget that a candidate may use is its fidelity divided by
        this.
        """
        ...

    def ask(self) -> Candidate | None:  # honest: a protocol
        """Propose the next candidate; None when the search has nothing more to try."""
        ...

    def tell(  # honest: a protocol
        self, candidate: Candidate, measurements: Mapping[str, Measurement]
    ) -> None:
        """Report measurements on the validation split, by requirement text or quantity name."""
        ...
