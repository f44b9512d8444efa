"""All tiny cells, trained on digits by `benchmarks/tabular.py`: a table to search in seconds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from netwright import _rng
from netwright.data import Input, Schema, Target
from netwright.design import Candidate, Design, Strategy
from netwright.design.spaces import Code, TinyCellSpace, tiny_cell_space
from netwright.finding import Lines, Measurement, Series

__all__ = [
    "EPOCHS",
    "PATH",
    "PROXIES",
    "SCHEMA",
    "SEEDS",
    "Step",
    "Trained",
    "best_so_far",
    "incumbents",
    "proxy",
    "search",
    "space",
    "trained",
]

PATH = Path(__file__).parent / "data" / "tiny_cells_digits.parquet"
EPOCHS = (1, 2, 3, 5, 9)
SEEDS = 3
PROXIES = ("synflow", "jacobian_covariance", "naswot")
SCHEMA = Schema(
    Input("image", (1, 8, 8), mean=(0.305,), std=(0.376,)),
    Target("class", ("digit",), tuple(map(str, range(10)))),
)


def space() -> TinyCellSpace:
    """Make the space that the table covers."""
    return tiny_cell_space(SCHEMA)


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of one design.

    Attributes:
        code: the canonical one.
        curves: held-out accuracy after each of `EPOCHS`, a curve for each seed.
        params: trained weights.
        macs: multiply-accumulates of one image.
        proxies: means over the seeds of the scores of untrained networks.
    """

    code: Code
    curves: tuple[tuple[float, ...], ...]
    params: int
    macs: int
    proxies: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        """Mean over all seeds, fully trained: what the table holds to be the truth."""
        return statistics.mean(curve[-1] for curve in self.curves)

    def measure(self, candidate: Candidate, *, seed: int) -> dict[str, Measurement]:
        """Look up one training of the design, as a search would have measured it.

        Args:
            candidate: whose fidelity decides how many epochs were trained.
            seed: of the search; it decides which of the trainings is looked up.
        """
        which = _rng.child_seed(seed, f"tiny cells/{candidate.number}") % SEEDS
        n_epochs = max(1.0, candidate.fidelity * EPOCHS[-1] + 0.01)
        place = sum(epoch <= n_epochs for epoch in EPOCHS) - 1
        found = {"accuracy": self.curves[which][place], "params": self.params, "macs": self.macs}
        return {name: Measurement(v, v, v, 1) for name, v in found.items()}


@cache
def trained() -> Mapping[str, Trained]:
    """Read the table; designs by name."""
    import pyarrow.parquet

    columns = pyarrow.parquet.read_table(PATH).to_pydict()
    rows: dict[str, list[int]] = {}
    for row, code in enumerate(columns["code"]):
        rows.setdefault(code, []).append(row)
    cells, found = space(), {}
    for text, places in rows.items():
        code = tuple(map(int, text))
        found[cells.design(code).name] = Trained(
            code,
            tuple(tuple(columns[f"accuracy_{n}"][row] for n in EPOCHS) for row in places),
            columns["params"][places[0]],
            columns["macs"][places[0]],
            {name: statistics.mean(columns[name][row] for row in places) for name in PROXIES},
        )
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """One child of a search on the table.

    Attributes:
        candidate: as the strategy asked.
        measured: the accuracy that the strategy was told.
        truth: the design's mean accuracy, fully trained.
        spent: full trainings that the search has cost so far, this one included.
    """

    candidate: Candidate
    measured: float
    truth: float
    spent: float


def search(
    strategy: Strategy,
    *,
    seed: int,
    measure: Callable[[Candidate], Mapping[str, Measurement]] | None = None,
) -> list[Step]:
    """Let a strategy search the table.

    Args:
        strategy: over `space()`.
        seed: decides which training of a design a child is.
        measure: what the strategy is told; the table's accuracy, parameters and MACs if None.
    """
    table, steps, spent = trained(), [], 0.0
    while (candidate := strategy.ask()) is not None:
        design = table[candidate.design.name]
        found = measure(candidate) if measure else design.measure(candidate, seed=seed)
        strategy.tell(candidate, found)
        spent += candidate.fidelity
        steps.append(Step(candidate, found["accuracy"].value, design.accuracy, spent))
    return steps


def incumbents(steps: Sequence[Step]) -> list[float]:
    """Return the truth about the child that looked best so far, after each child.

    A child that was trained longer is believed before one that was trained less.

    Args:
        steps: of a search.
    """
    found: list[float] = []
    best: Step | None = None
    for step in steps:
        if best is None or _key(step) > _key(best):
            best = step
        found.append(best.truth)
    return found


def best_so_far(searches: Mapping[str, Sequence[Sequence[Step]]]) -> Lines:
    """Draw the mean accuracy of the incumbents after each child.

    Args:
        searches: of each strategy, one a seed, all of one length.
    """
    series = []
    for name, each in searches.items():
        columns = zip(*(incumbents(steps) for steps in each), strict=True)
        means = tuple(100 * statistics.mean(column) for column in columns)
        series.append(Series(name, tuple(float(k + 1) for k in range(len(means))), means))
    return Lines("The best child so far", "trained children", "accuracy, %", tuple(series))


def _key(step: Step) -> tuple[float, float]:
    return round(step.candidate.fidelity, 3), step.measured


def proxy(name: str) -> Callable[[Design], float]:
    """Make a score of designs from a proxy that the table holds.

    Args:
        name: one of `PROXIES`.
    """
    table = trained()
    return lambda design: table[design.name].proxies[name]
