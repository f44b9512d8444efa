"""D5: requirements steer the search, and what cannot be had is priced.

Two builds of handwritten digits, through everything that `netwright build` does. One is asked for a
pair of requirements each of which can be met alone: it must end with the verdict "broken" (exit
code 1), say that both bind, and list what looser bounds on size would cost. The other is asked for
four requirements at once - accuracy, size, latency, robustness - and must meet them all, judged on
test rows at the bad end of each interval.
"""

import json
import tempfile
import time
from pathlib import Path

from netwright.finding import Cell, Finding, Judgement, Lines, Measurement, Series, Table
from netwright.requirement import Requirement

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "D5"
TITLE = "Search under requirements: what binds, what it costs, and four requirements met at once"
BAR = (
    "an impossible pair ends broken, both requirements named as binding, with a price for the "
    "stated and for a looser bound; one network meets accuracy, size, latency and robustness on "
    "test rows"
)
_PAIR = ("accuracy >= 0.97", "size <= 10 kB")
_FOUR = (
    "accuracy >= 0.93",
    "size <= 100 kB",
    "latency_p95 <= 2 ms @batch=1,threads=1",
    "robust(linf=4/255, samples=200) >= 0.8",
)
_QUICK, _FULL = (1600, 800), (12_000, 10_000)  # steps of the two builds


def run(*, full: bool, seed: int) -> Finding:
    """Build twice and read what the runs say.

    Args:
        full: train about six times longer; else briefly.
        seed: of split, search and training.

    Returns:
        How many of three things were shown: the pair that binds, the price list, the four met; the
        price list and the verdicts as tables, the front as a chart.
    """
    began = time.monotonic()
    steps = _FULL if full else _QUICK
    with tempfile.TemporaryDirectory() as folder:
        pair = _build(_PAIR, steps[0], seed, Path(folder) / "pair")
        four = _build(_FOUR, steps[1], seed, Path(folder) / "four")
    reachable = next((f for f in pair if f.name == "reachable"), None)
    tables = () if reachable is None else reachable.evidence
    prices = next((t for t in tables if isinstance(t, Table) and "price" in t.title), None)
    front = next((t for t in tables if isinstance(t, Table) and "front" in t.title), None)
    stated, looser = _size_prices(prices)
    verdicts = [f.judgement.verdict for f in pair if f.judgement is not None]
    binding = [row[0] for row in prices.rows if row[3] == "yes"] if prices is not None else []
    shown = {
        "the pair cannot be met, and both bind": "broken" in verdicts
        and sorted(map(str, binding)) == sorted(Requirement.parse(r).text for r in _PAIR),
        "looser bounds cost less": stated is not None
        and bool(looser)
        and all(0 <= cost < stated for _, cost in looser),
        "four requirements are met at once": [
            f.judgement.verdict for f in four if f.judgement is not None
        ]
        == ["met"] * len(_FOUR),
    }
    n_shown = sum(shown.values())
    lacking = [name for name, is_shown in shown.items() if not is_shown]
    summary = f"{n_shown} of {len(shown)} shown"
    summary += f"; not that {' nor that '.join(lacking)}." if lacking else "."
    if stated is not None:
        price = ", ".join(f"{bound} costs {100 * cost:.1f}" for bound, cost in looser)
        summary += f" {_PAIR[1]} costs {100 * stated:.1f} points of accuracy; {price or 'no more'}."
    evidence: list[Table | Lines] = [_verdicts(pair, four)]
    if front is not None:
        evidence.append(_chart(front))
    evidence += [t for t in (front, prices) if t is not None]
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=Measurement(n_shown, n_shown, n_shown, len(shown), note="of three"),
        requirement=BAR,
        judgement=Judgement("met" if not lacking else "broken", summary),
        evidence=tuple(evidence),
        seconds=time.monotonic() - began,
    )


def _build(require: tuple[str, ...], steps: int, seed: int, folder: Path) -> tuple[Finding, ...]:
    from netwright._build import build

    return build(
        "digits", require=require, budget=f"{steps} steps", seed=seed, out=folder, device="cpu"
    ).findings


def _size_prices(prices: Table | None) -> tuple[float | None, list[tuple[str, float]]]:
    """Return what the stated bound on size costs, and what looser ones do, as shares."""
    if prices is None:
        return None, []
    rows = [row for row in prices.rows if str(row[0]).startswith("size")]
    stated = next((row[2] for row in rows if row[1] == "as stated"), None)
    looser = [(str(row[1]), json.loads(str(row[2]))) for row in rows if row[1] != "as stated"]
    return (None if stated is None else json.loads(str(stated))), looser


def _verdicts(pair: tuple[Finding, ...], four: tuple[Finding, ...]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, findings in (("pair", pair), ("four", four)):
        for found in findings:
            if found.judgement is not None and found.measurement is not None:
                rows.append(
                    (name, found.requirement, found.summary.split(":")[0], found.judgement.verdict)
                )
    columns = ("build", "requirement", "measured on test rows", "verdict")
    return Table("What was asked, and the verdicts", columns, tuple(rows))


def _chart(front: Table) -> Lines:
    kilobytes = tuple(float(row[2] or 0) / 1000 for row in front.rows)
    accuracy = tuple(float(row[1] or 0) for row in front.rows)
    names = tuple(str(row[0]) for row in front.rows)
    series = (Series("front", kilobytes, accuracy, names),)
    return Lines("The reachable front", "size (kB)", "accuracy, validation split", series, True)
