"""How far a training has come: counted in steps, or on the clock."""

import math
import time

__all__ = ["Limit", "StepLimit", "TimeLimit", "limit_for"]


class StepLimit:
    """A number of steps; everything about the training is then reproducible."""

    name = "steps"  # as `Fitted.stopped` has it

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def progress(self, step: int) -> float:
        """Share of the training that is done; at 1 no further step may be taken.

        Args:
            step: steps taken so far.
        """
        return min(1.0, step / self._steps)


class TimeLimit:
    """Seconds by the monotonic clock, the last evaluation included; or steps, if they end first."""

    name = "seconds"

    def __init__(self, seconds: float, started: float, most_steps: int | None = None) -> None:
        self._seconds = seconds
        self._started = started
        self._most_steps = most_steps
        self.reserved = 0.0  # seconds kept back for the last evaluation

    def progress(self, step: int) -> float:
        """Share of the time that is spent; at 1 no further step may be taken.

        Args:
            step: steps taken so far; ignored, unless their number is limited too.
        """
        usable = self._seconds - self.reserved
        elapsed = time.monotonic() - self._started
        walked = step / self._most_steps if self._most_steps else 0.0
        return min(1.0, max(walked, elapsed / usable)) if usable > 0 else 1.0


Limit = StepLimit | TimeLimit


def limit_for(
    *, steps: int | None, seconds: float | None, started: float, most_steps: int | None = None
) -> Limit:
    """Make the limit of a training from exactly one of two counts.

    Args:
        steps: optimiser steps, at least 1; None when counted in seconds.
        seconds: wall-clock seconds, above 0; None when counted in steps.
        started: the monotonic clock's time when the training began; earlier, by what was spent
            before, if it is resumed.
        most_steps: more are never taken; None for no such limit.

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
        return StepLimit(min(steps, most_steps or steps))
    assert seconds is not None  # checked above
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"`seconds` must be a positive number of seconds; got {seconds}.")
    return TimeLimit(seconds, started, most_steps)
