"""Keep what a search's controller thought as it went, and make charts of it for the report."""

import json
import math
from collections.abc import Sequence
from typing import Any

from netwright._journal import Journal
from netwright.design import Strategy
from netwright.design.strategies import Observed
from netwright.finding import Heatmap, Lines, Series

__all__ = ["moment_charts", "note_moments"]

_MOST_DRAWN = 6  # decisions that have a chart of their own
_MOST_COLUMNS = 40


def note_moments(strategy: Strategy, journal: Journal) -> None:
    """Write down what a strategy has learned since the last time, if it can be looked at.

    Args:
        strategy: of the search.
        journal: of the run; what it holds already, as after a kill, is not written again.
    """
    if not isinstance(strategy, Observed) or not strategy.history:
        return
    if not journal.find("decisions"):
        listed = [[d.name, [_text(option) for option in d.options]] for d in strategy.decisions]
        journal.record("decisions", decisions=listed)
    for moment in strategy.history[len(journal.find("moment")) :]:
        journal.record(
            "moment", told=moment.n_told, entropy=round(moment.entropy, 4),
            probabilities=[[round(p, 4) for p in each] for each in moment.probabilities],
        )  # fmt: skip


def moment_charts(journal: Journal) -> tuple[Lines | Heatmap, ...]:
    """Draw the controller's probabilities over time.

    Args:
        journal: of the run.

    Returns:
        The entropy beside that of chance; the decisions on which it came to prefer something most
        clearly, option by option; and all decisions at once, each by the probability of what it
        prefers in the end. Nothing if the search had no controller.
    """
    found = journal.find("decisions")
    moments = [event.facts for event in journal.find("moment")]
    if not found or not moments:
        return ()
    decisions: list[tuple[str, list[str]]] = found[0].facts["decisions"]
    told = tuple(float(m["told"]) for m in moments)
    most = sum(math.log(len(options)) for _, options in decisions)
    undecided = (
        Series("of a design", told, tuple(float(m["entropy"]) for m in moments)),
        Series("by chance", told, (most,) * len(told)),
    )
    charts: list[Lines | Heatmap] = [
        Lines("How undecided the controller is", "trained children", "entropy (nats)", undecided)
    ]
    last = moments[-1]["probabilities"]
    clearest = sorted(range(len(decisions)), key=lambda k: _doubt(last[k]))[:_MOST_DRAWN]
    for place in sorted(clearest):
        name, options = decisions[place]
        lines = tuple(
            Series(option, told, tuple(m["probabilities"][place][k] for m in moments))
            for k, option in enumerate(options)
        )
        charts.append(Lines(name, "trained children", "probability", lines))
    charts.append(_overview(decisions, moments))
    return tuple(charts)


def _overview(decisions: Sequence[Any], moments: Sequence[Any]) -> Heatmap:
    n = len(moments)
    step = max(1, math.ceil(n / _MOST_COLUMNS))
    kept = [moments[k] for k in range((n - 1) % step, n, step)]  # the last is always among them
    last = moments[-1]["probabilities"]
    best = [max(range(len(row)), key=row.__getitem__) for row in last]
    return Heatmap(
        "Every decision: probability of the option that leads in the end",
        "trained children",
        "decision: option",
        tuple(str(m["told"]) for m in kept),
        tuple(f"{name}: {options[k]}" for (name, options), k in zip(decisions, best, strict=True)),
        tuple(tuple(m["probabilities"][place][k] for m in kept) for place, k in enumerate(best)),
    )


def _doubt(chances: Sequence[float]) -> float:
    """Entropy as a share of the most that so many options can have."""
    entropy = -sum(p * math.log(p) for p in chances if p > 0)
    return entropy / math.log(len(chances)) if len(chances) > 1 else 1.0


def _text(option: Any) -> str:
    if isinstance(option, tuple | list):
        return " + ".join(map(str, option)) or "none"
    return option if isinstance(option, str) else json.dumps(option)
