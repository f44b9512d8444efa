"""Which chains of passes are run for what is demanded, and which candidate is the best."""

from collections.abc import Sequence

from netwright._compress_candidates import COSTS, Tried
from netwright.data import Task
from netwright.design._ranking import higher_is_better
from netwright.requirement import Requirement

__all__ = ["orders", "rank"]


def orders(requirements: Sequence[Requirement]) -> tuple[tuple[str, ...], ...]:
    """Choose which chains are run, and on what.

    Args:
        requirements: what is demanded.

    Returns:
        Each the names of chains, the later on the best network of the earlier; those come first
        that promise most, so that a small budget can leave out the last. Zeros make files small;
        fewer channels, lower ranks and students make networks cheap as well.
    """
    asked = {r.quantity for r in requirements} & set(COSTS)
    zeros, channels, ranks, students = ("zeros",), ("channels",), ("ranks",), ("students",)
    if asked and "size" not in asked:
        return (channels, students, ranks, channels + ranks)
    small = (channels, channels + zeros, students, students + zeros, ranks)
    if asked <= {"size"}:
        return (zeros, *small, ranks + zeros)
    return (*small[:4], zeros, ranks, channels + ranks)


def rank(tried: Tried, task: Task, requirements: Sequence[Requirement]) -> tuple[float, ...]:
    """Order candidates by what they meet, then by what was left open.

    Args:
        tried: a candidate.
        task: whose metric is the score.
        requirements: what is demanded.

    Returns:
        Smaller is better: broken requirements, those that do not hold at the measured value,
        undecided ones; among equals what is nearer to the costs that were missed, then the better
        score if a cost was bounded, else the smaller file.
    """
    judged = tried.judge(requirements)
    verdicts = [judgement.verdict for judgement in judged.values()]
    worse = -tried.score if higher_is_better(task.schema.target.metric) else tried.score
    costs = [r for r in requirements if r.quantity in COSTS]
    missed = [r for r in costs if judged[r.text].verdict == "broken"]
    # Times by turns with one file say more than two times, taken one after the other.
    excess = sum(
        1 / tried.speed.value
        if r.quantity.startswith("latency")
        else tried.measurements[r.text].value / max(r.bound, 1e-12)
        for r in missed
    )
    last = (worse, float(tried.size)) if costs else (float(tried.size), worse)
    held = [r.holds(tried.measurements[r.text].value) for r in requirements if r.text in judged]
    counts = (verdicts.count("broken"), held.count(False), verdicts.count("undecided"))
    return (*counts, excess, *last)
