"""Candidates that are out: numbered, awaited, and taken back once."""

from typing import Generic, TypeVar

from netwright.design._design import Axis, Candidate, Design

__all__ = ["Awaited"]

Note = TypeVar("Note")


class Awaited(Generic[Note]):
    """What was asked for and not told yet, each with a note of the strategy that sent it.

    Attributes:
        n_sent: candidates so far, those that came back included.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.n_sent = 0
        self._out: dict[int, tuple[Candidate, Note]] = {}

    def __len__(self) -> int:
        """Count what is out."""
        return len(self._out)

    @property
    def fidelity(self) -> float:
        """Fidelity of all that is out."""
        return sum(candidate.fidelity for candidate, _ in self._out.values())

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the strategy noted about each that is out."""
        return tuple(note for _, note in self._out.values())

    def send(
        self,
        design: Design,
        fidelity: float,
        note: Note,
        *,
        parent: int | None = None,
        axis: Axis = "epochs",
    ) -> Candidate:
        """Number a candidate and wait for it.

        Args:
            design: what to train.
            fidelity: share of a full training that it gets.
            note: what the strategy wants back with it.
            parent: number of the candidate whose weights it starts from, if any.
            axis: what the fidelity cuts.
        """
        candidate = Candidate(self.n_sent, design, fidelity, parent, axis)
        self._out[candidate.number] = (candidate, note)
        self.n_sent += 1
        return candidate

    def take(self, candidate: Candidate) -> Note:
        """Take a candidate back.

        Args:
            candidate: as sent.

        Returns:
            The note.

        Raises:
            ValueError: if it was not asked for, or was told before.
        """
        number = candidate.number
        if number not in self._out or self._out[number][0] != candidate:
            raise ValueError(f"Candidate {number} was not asked for, or was told before.")
        return self._out.pop(number)[1]

    def require_none(self) -> None:
        """Check that all have come back.

        Raises:
            RuntimeError: if some are still out.
        """
        if self._out:
            waiting = ", ".join(map(str, self._out))
            raise RuntimeError(f"Tell candidates {waiting} before asking for the next rung.")
