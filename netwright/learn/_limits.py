"""How far a training has come, and whether it must end: counted in steps, or on the clock."""

import math
import time

__all__ = ["Limit", "StepLimit", "TimeLimit", "limit_for"]


class _Clock:
    def __init__(self, spent: float) -> None:
        self._start = time.monotonic() - spent

    def elapsed(self) -> float:
        """Seconds spent, those before a resume included."""
        return time.monotonic() - self._start


class StepLimit(_Clock):
    """A number of steps; everything about the training is then reproducible."""

    name = "steps"  # as `Fitted.stopped` has it

    def __init__(self, steps: int, spent: float = 0.0) -> None:
        super().__init__(spent)
        self._steps = steps

    def progress(self, step: int) -> float:
        """Share of the training that is done before a step.

        Args:
            step: number of the step, from 0.
        """
        return min(1.0, step / self._steps)

    def over(self, step: int) -> bool:
        """Say whether a step must not be taken.

        Args:
            step: number of the step, from 0.
        """
        return step >= self._steps

    def reserve(self, seconds: float) -> None:
        """Steps need no time kept back.

        Args:
            seconds: ignored.
        """


class TimeLimit(_Clock):
    """Seconds by the monotonic clock, the last evaluation included."""

    name = "seconds"

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        super().__init__(spent)
        self._seconds = seconds
        self._reserved = 0.0

    def progress(self, step: int) -> float:
        """Share of the time that is spent.

        Args:
            step: ignored.
        """
        usable = self._usable()
        return min(1.0, self.elapsed() / usable) if usable > 0 else 1.0

    def over(self, step: int) -> bool:
        """Say whether the time that may go into steps is spent.

        Args:
            step: ignored.
        """
        return self.elapsed() >= self._usable()

    def reserve(self, seconds: float) -> None:
        """Keep back time for the last evaluation.

        Args:
            seconds: what the last one took, or an estimate.
        """
        self._reserved = seconds

    def _usable(self) -> float:
        return self._seconds - self._reserved


Limit = StepLimit | TimeLimit


def limit_for(*, steps: int | None, seconds: float | None, spent: float = 0.0) -> Limit:
    """Make the limit of a training from exactly one of two counts.

    Args:
        steps: optimiser steps, at least 1; None when counted in seconds.
        seconds: wall-clock seconds, above 0; None when counted in steps.
        spent: seconds spent before a resume.

    Raises:
        ValueError: if both or neither is given, or the one given is not positive.
    """
    if (steps is None) == (seconds is None):
        raise ValueError(
            f"Give exactly one of `steps` and `seconds`; got steps={steps}, seconds={seconds}."
        )
    if steps is not None:
        if steps < 1:
            raise ValueError(f"`steps` must be at least 1; got {steps}.")
        return StepLimit(steps, spent)
    assert seconds is not None  # checked above
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"`seconds` must be a positive number of seconds; got {seconds}.")
    return TimeLimit(seconds, spent)
