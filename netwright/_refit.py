"""Train the chosen design again, on the validation rows as well, where that costs little.

Once a design is chosen the validation rows have done their work, and a network learns from them as
from others. Only recipes that say how many epochs they take are trained again: without validation
rows nothing else would stop them. The calibration rows, which neither training saw, must not show
that the new network is worse.
"""

from dataclasses import replace
from pathlib import Path

import torch

from netwright import _rng
from netwright._allot import Allotment
from netwright._evaluate import prepare, score
from netwright._files import write_atomically
from netwright._journal import Journal
from netwright._search import Found
from netwright._threads import threads_worth
from netwright.data import Split, Task, TensorSplit
from netwright.design import build_network
from netwright.design._ranking import higher_is_better
from netwright.finding import format_value
from netwright.learn import Budget, fit
from netwright.measure import macs

__all__ = ["joined", "refit"]

_SLACK = 1.5  # a training that takes so much longer than the last one still fits


def refit(
    found: Found,
    task: Task,
    limit: Budget,
    *,
    folder: Path,
    journal: Journal,
    seed: int,
    device: str,
) -> Found:
    """Train what the search chose again, on training and validation rows.

    Args:
        found: the search's choice.
        task: what is to be learned; its test split stays sealed.
        limit: of the whole job; only what is left of it is used.
        folder: of the run.
        journal: of the run.
        seed: every random choice derives from it.
        device: what trains.

    Returns:
        The choice with the new network; as it was if there is too little left, the recipe does not
        say when to stop, the rows do not lie in memory, or the new network is worse.
    """
    from safetensors.torch import load_file, save

    place = folder / "candidates" / f"{found.candidate:03d}" / "refit.safetensors"
    network = build_network(found.design, task.schema, seed=_rng.child_seed(seed, "refit"))
    said = journal.find("refitted")
    if said and not said[-1].facts["kept"]:
        return found
    if said:
        network.load_state_dict(load_file(place))
        return replace(found, network=network)
    rows = joined(task.train, task.validation)
    taken = [e.facts for e in journal.find("epoch") if e.facts["number"] == found.candidate]
    if not found.design.recipe.epochs or rows is None or not taken:
        return found
    more = len(rows) / len(task.train)
    seconds, steps = _left(limit, journal)
    if steps is not None and taken[-1]["step"] * more > steps:
        return found
    if seconds is not None and _SLACK * taken[-1]["seconds"] * more > seconds:
        return found
    bounds = _rng.child(seed, "refit/bounds")
    prepare(network, found.design.recipe, rows, generator=bounds)
    with threads_worth(3 * macs(network, rows.take([0])).macs * found.design.recipe.batch_size):
        fitted = fit(
            network, rows, task.validation, target=task.schema.target, device=device,
            recipe=found.design.recipe, seed=_rng.child_seed(seed, "refit/fit"),
            steps=steps, seconds=seconds,
        )  # fmt: skip
    metric = task.schema.target.metric
    before, after = (score(n, task, task.calibration) for n in (found.network, network))
    if higher_is_better(metric):
        worse = not after.value >= before.low
    else:
        worse = not after.value <= before.high
    worse = worse or fitted.stopped == "diverged"
    write_atomically(place, save(network.state_dict()))
    journal.record(
        "refitted",
        kept=not worse,
        rows=len(rows),
        text=(
            f"Trained again on {len(rows):,} rows, the {len(task.validation):,} of validation "
            f"among them: {metric} {format_value(after.value, after.unit)} on the calibration "
            f"rows, {format_value(before.value, before.unit)} before"
            + ("; the network of before is kept." if worse else ".")
        ),
    )
    return found if worse else replace(found, network=network)


def joined(first: Split, second: Split) -> TensorSplit | None:
    """Put the rows of two splits together; None if they do not lie in memory.

    Args:
        first: rows.
        second: rows of the same kind.
    """
    if not (isinstance(first, TensorSplit) and isinstance(second, TensorSplit)):
        return None
    return TensorSplit(
        torch.cat([first.x, second.x]),
        torch.cat([first.y, second.y]),
        torch.cat([first.rows, second.rows]),
        {name: (*rows, *second.groups[name]) for name, rows in first.groups.items()},
    )


def _left(limit: Budget, journal: Journal) -> tuple[float | None, int | None]:
    """Seconds and steps that are left for training; one of them is None."""
    if limit.steps is None:
        return Allotment(limit, 1.0, journal).left, None
    taken = {e.facts["number"]: e.facts["step"] for e in journal.find("epoch")}
    return None, limit.steps - sum(taken.values())
