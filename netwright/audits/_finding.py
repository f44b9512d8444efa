"""Small pieces that every audit uses to word a finding."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import ParamSpec

import torch

from netwright.finding import Finding, Measurement, format_value
from netwright.measure import Subject

__all__ = ["not_applicable", "outputs_trouble", "shorten", "span", "timed"]

_P = ParamSpec("_P")


def timed(audit: Callable[_P, Finding]) -> Callable[_P, Finding]:
    """Fill in `Finding.seconds` with the wall-clock time that the audit took.

    Args:
        audit: returns a finding.
    """

    @functools.wraps(audit)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> Finding:
        start = time.perf_counter()
        finding = audit(*args, **kwargs)
        return dataclasses.replace(finding, seconds=time.perf_counter() - start)

    return run


def not_applicable(name: str, title: str, reason: str) -> Finding:
    """Say that a question does not arise here, and why.

    Args:
        name: as in `Finding`.
        title: as in `Finding`.
        reason: a clause that follows "Not applicable: ".
    """
    return Finding(name=name, title=title, summary=f"Not applicable: {reason}.")


def outputs_trouble(subject: Subject) -> str:
    """Say why nothing can be read from the network's outputs; empty when something can.

    Args:
        subject: what is audited.
    """
    if not len(subject.split):
        return "the split has no rows"
    bad = int((~torch.isfinite(subject.outputs)).flatten(1).any(1).sum())
    if bad:
        return f"the network's outputs are not finite on {bad:,} of {len(subject.split):,} rows"
    return ""


def span(measured: Measurement) -> str:
    """Write a measurement with its interval, for people.

    Args:
        measured: the number.

    Example:
        >>> span(Measurement(value=0.9, low=0.85, high=0.94, n=200))
        '0.900 (0.850 to 0.940)'
    """
    value, low, high = (
        format_value(end, measured.unit) for end in (measured.value, measured.low, measured.high)
    )
    return value if measured.low == measured.high else f"{value} ({low} to {high})"


def shorten(text: str, length: int) -> str:
    """Cut a text to a length, with an ellipsis where something is missing.

    Args:
        text: any text; line breaks become blanks.
        length: most characters, at least 1.
    """
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"
