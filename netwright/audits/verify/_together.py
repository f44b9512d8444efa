"""Let several processes share the boxes that a search has left open."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from netwright.audits.verify._network import AffineReLU
from netwright.audits.verify._query import Query
from netwright.audits.verify._search import Decision, search
from netwright.audits.verify._witness import Replay
from netwright.audits.verify._workers import Lost, call_all

__all__ = ["Task", "search_together"]

_SHARES = 6  # parts of the work for each process: some end early


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a process needs to know.

    Attributes:
        network: the layers.
        query: the question, over the whole box.
        replay: decides whether a counterexample counts.
        region: which region of the property the query is.
    """

    network: AffineReLU
    query: Query
    replay: Replay
    region: int


def search_together(
    task: Task,
    begun: Decision,
    *,
    deadline: float,
    workers: int,
    accept: Callable[[np.ndarray], bool],
    watch: Callable[[int], None],
) -> Decision:
    """Go on where a search stopped.

    Args:
        task: what is asked.
        begun: the search's decision, a timeout.
        deadline: when to give up, on the clock of `time.perf_counter`.
        workers: processes.
        accept: takes a counterexample that another process has replayed.
        watch: told how many boxes have been bounded.
    """
    assert begun.rest is not None
    until = time.time() + deadline - time.perf_counter()  # a clock that processes share
    n_parts = min(len(begun.rest), _SHARES * workers)
    parts = [begun.rest[i::n_parts] for i in range(n_parts)]
    n_boxes, outcomes = begun.n_boxes, set()
    given = [(task, part, until) for part in parts]
    with closing(call_all(_search_part, given, workers=workers)) as calls:
        for _, made in calls:
            if isinstance(made, Lost):
                outcomes.add("unknown")
                continue
            n_boxes += made.n_boxes
            watch(n_boxes)
            if made.outcome == "sat" and accept(made.point):
                return replace(made, n_boxes=n_boxes)
            outcomes.add("unknown" if made.outcome == "sat" else made.outcome)
    for outcome in ("timeout", "unknown"):
        if outcome in outcomes:
            return Decision(outcome, None, n_boxes)
    return Decision("unsat", None, n_boxes)


def _search_part(given: tuple[Task, np.ndarray, float]) -> Decision:
    task, boxes, until = given
    region = task.replay.prop.regions[task.region]
    made = search(
        task.network,
        [replace(task.query, low=low, high=high, region=None) for low, high in boxes],
        deadline=time.perf_counter() + until - time.time(),
        accept=lambda _, point: task.replay(region, point) is not None,
    )
    for outcome in ("sat", "timeout", "unknown"):
        for one in made:
            if one.outcome == outcome:
                return Decision(outcome, one.point, made[-1].n_boxes)
    return Decision("unsat", None, made[-1].n_boxes)
