"""Requirements and verdicts in words: one row each, and one sentence for all."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from netwright.finding import Finding, Measurement, format_value
from netwright.report._view import RequirementRow, RunView

__all__ = ["Summary", "VerdictRow", "bound_text", "interval_text", "row_of", "rows_of", "summarise"]


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One requirement in words.

    Attributes:
        verdict: met, broken or undecided.
        text: the requirement as the user wrote it.
        value: what was measured; a dash where nothing could be.
        interval: where the truth may lie.
        bound: what was demanded; empty where it is not known.
        n: how many samples or timings.
        reason: why the verdict is what it is.
    """

    verdict: Literal["met", "broken", "undecided"]
    text: str
    value: str
    interval: str
    bound: str
    n: str
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """All verdicts in one sentence.

    Attributes:
        status: the worst of the verdicts; "none" without requirements.
        sentence: for people.
        about: what was judged, on what.
    """

    status: Literal["met", "broken", "undecided", "none"]
    sentence: str
    about: str


def bound_text(bound: float, unit: str) -> str:
    """Write a bound for people: unlike a measured value it has no digits that mean nothing.

    Args:
        bound: in base units.
        unit: as in `Measurement.unit`.
    """
    number, blank, word = format_value(bound, unit).partition(" ")
    if "." in number and "e" not in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number}{blank}{word}"


def interval_text(measured: Measurement) -> str:
    """Write an interval for people.

    Args:
        measured: any measurement.
    """
    if math.isnan(measured.low) or math.isnan(measured.high):
        return "not known"
    if measured.low == measured.high:
        return "exact" if measured.method == "exact" else format_value(measured.low, measured.unit)
    low, high = (format_value(v, measured.unit) for v in (measured.low, measured.high))
    number, _, unit = low.partition(" ")
    if math.isfinite(measured.low) and unit and high.endswith(f" {unit}"):  # "0.20 to 0.25 ms"
        low = number
    return f"{low} to {high}"


def row_of(requirement: RequirementRow) -> VerdictRow:
    """Put one requirement in words.

    Args:
        requirement: the requirement and its finding.
    """
    finding = requirement.finding
    measured, judgement = finding.measurement, finding.judgement
    unit = measured.unit if measured else ""
    bound = ""
    if requirement.bound is not None and requirement.comparison is not None:
        sign = "≥" if requirement.comparison == ">=" else "≤"
        bound = f"{sign} {bound_text(requirement.bound, unit)}"
    reason = judgement.reason if judgement else "This requirement was not judged."
    return VerdictRow(
        verdict=judgement.verdict if judgement else "undecided",
        text=requirement.text,
        value=format_value(measured.value, unit) if measured else "–",
        interval=interval_text(measured) if measured else "–",
        bound=bound,
        n=f"{measured.n:,}" if measured and measured.n > 1 else "–",
        reason=reason,
    )


def rows_of(source: RunView | Iterable[Finding]) -> tuple[VerdictRow, ...]:
    """Put every requirement in words.

    Args:
        source: a run, or findings; of these the ones that answer a requirement.
    """
    if isinstance(source, RunView):
        return tuple(row_of(r) for r in source.requirements)
    return tuple(
        row_of(RequirementRow(f.requirement, f)) for f in source if f.requirement is not None
    )


def summarise(view: RunView) -> Summary:
    """Say in one sentence how a run ended.

    Args:
        view: the run.
    """
    verdicts = [row_of(r).verdict for r in view.requirements]
    met, broken, undecided = (verdicts.count(v) for v in ("met", "broken", "undecided"))
    n = len(verdicts)
    about = _about(view)
    if not n:
        return Summary("none", "No requirement was stated; this is what was measured.", about)
    doubt = f"{undecided} cannot be decided with the data at hand" if undecided else ""
    if broken:
        which = _all_of(n) if broken == n else f"{broken} of {n} requirements"
        sentence = f"The network breaks {which}{'; ' + doubt if doubt else ''}."
        return Summary("broken", sentence, about)
    if undecided:
        if undecided == n:
            which = "The only requirement" if n == 1 else f"None of the {n} requirements"
            sentence = f"{which} {'cannot' if n == 1 else 'can'} be decided with the data at hand."
        else:
            sentence = f"{met} of {n} requirements are met; {doubt}."
        return Summary("undecided", sentence, about)
    return Summary("met", f"The network meets {_all_of(n)}.", about)


def _all_of(n: int) -> str:
    return {1: "its only requirement", 2: "both requirements"}.get(n, f"all {n} requirements")


def _about(view: RunView) -> str:
    pieces = []
    if view.unreachable:
        pieces.append("No candidate within the budget meets every requirement.")
    if view.design_name:
        pieces.append(f"Judged: {view.design_name}, as shipped.")
    test = dict(view.splits).get("test")
    if test is not None:
        looks = {0: "not opened", 1: "opened once"}.get(
            len(view.looks), f"opened {len(view.looks)} times"
        )
        pieces.append(f"{test:,} test rows, {looks}.")
    return " ".join(pieces)
