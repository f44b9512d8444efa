"""What a candidate turned out to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netwright.design._design import Candidate
from netwright.finding import Measurement

__all__ = ["Record"]


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the leaderboard.

    Attributes:
        candidate: what was asked for.
        measurements: on the validation split, by requirement text or quantity name.
        seconds: spent on building, training and measuring it.
        status: what ended its training: "steps", "seconds", "patience" or "diverged"; "pruned" if
            it was not worth training, "died" if it took its workers down with it. Those two have no
            measurements but of costs.
    """

    candidate: Candidate
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    seconds: float = 0.0
    status: str = "steps"
