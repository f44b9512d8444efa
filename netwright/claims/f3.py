"""F3: LeNet-300-100 and LeNet-5 through pruning, shared values and Huffman coding, into one file.

What is measured is the file: its bytes, all parameters and names included, and the test rows that
the network decoded from it gets right, beside the same rows of the network before.
"""

import time

from torch import nn

from netwright import _rng
from netwright.claims._lenets import Plan, Stages, compress, plans, right
from netwright.compress import decode, from_arrays
from netwright.data import Split, load
from netwright.finding import Cell, Finding, Judgement, Measurement, Table
from netwright.measure import rate_drop

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "F3"
TITLE = "Deep compression: pruning, shared values and Huffman coding into one file"
BAR = (
    "LeNet-300-100 and LeNet-5 on mnist at least 25 times smaller (full: 40 and 39 times), with no "
    "loss of accuracy beyond the paired 95 % interval"
)
_QUICK = {"LeNet-300-100": 25.0, "LeNet-5": 25.0}
_FULL = {"LeNet-300-100": 40.0, "LeNet-5": 39.0}


def run(*, full: bool, seed: int) -> Finding:
    """Train both networks, make them small, and read the files back.

    Args:
        full: train longer, and prune further.
        seed: of splits, weights and training.

    Returns:
        The factor of the network that shrank least; the stages beside the paper's; what is left of
        each layer.
    """
    began = time.monotonic()
    task = load("mnist", seed=seed)
    test = task.test.open(f"claim {ID}")
    bars = _FULL if full else _QUICK
    found: dict[str, tuple[Plan, Stages]] = {}
    for name, plan in plans(full=full).items():
        found[name] = (plan, compress(plan, task, test, seed=seed))
    factors = {name: s.sizes[0] / s.sizes[3] for name, (_, s) in found.items()}
    drops = {name: _drop(plan, s, test) for name, (plan, s) in found.items()}
    met = all(factors[n] >= bars[n] and drops[n].low <= 0 for n in bars)
    parts = [
        f"{name} shrinks {factors[name]:.0f} times to {s.sizes[3] / 1000:.1f} kB, "
        f"{_points(drops[name])} points of accuracy lost"
        for name, (_, s) in found.items()
    ]
    summary = "; ".join(parts) + "."
    least = min(factors.values())
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=Measurement(least, least, least, len(test), note="factor of the lesser one"),
        requirement=BAR,
        judgement=Judgement("met" if met else "broken", summary),
        evidence=(_stages(found), _layers(found)),
        seconds=time.monotonic() - began,
    )


def _drop(plan: Plan, stages: Stages, test: Split) -> Measurement:
    # Of the network that comes out of the file.
    with _rng.seeded(0):  # these weights are replaced
        network: nn.Module = plan.make()
    network.load_state_dict(from_arrays(decode(stages.file)))
    after = right(network, test)
    assert after.equal(stages.right[2])  # the file holds the same bits
    return rate_drop(stages.right[0], after)


def _points(drop: Measurement) -> str:
    return f"{100 * drop.value:+.2f} [{100 * drop.low:+.2f}, {100 * drop.high:+.2f}]"


def _stages(found: dict[str, tuple[Plan, Stages]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, (plan, stages) in found.items():
        before, pruned, after = (100 * (1 - r.float().mean().item()) for r in stages.right)
        errors = (before, pruned, None, after)
        paper = (plan.paper[0], *(plan.paper[0] * share for share in plan.paper[1:4]))
        theirs = (100 * plan.paper[4], None, None, 100 * plan.paper[5])
        words = ("at first", "pruned", "shared values", "Huffman coded: the file")
        for word, size, error, size_paper, error_paper in zip(
            words, stages.sizes, errors, paper, theirs, strict=True
        ):
            rows.append(
                (
                    name,
                    word,
                    round(size / 1000, 1),
                    round(stages.sizes[0] / size, 1),
                    None if error is None else round(error, 2),
                    round(size_paper / 1000, 1),
                    round(paper[0] / size_paper, 1),
                    error_paper,
                )
            )
    columns = ("network", "stage", "kB", "times", "error, %", "paper: kB", "times", "error, %")
    return Table("Stages beside those of Han, Mao and Dally, 2016", columns, tuple(rows))


def _layers(found: dict[str, tuple[Plan, Stages]]) -> Table:
    rows = tuple(
        (name, layer, round(100 * share, 1), plan.n_shared[layer])
        for name, (plan, stages) in found.items()
        for layer, share in stages.kept.items()
    )
    columns = ("network", "weight", "kept, %", "different values")
    return Table("What is left of each layer", columns, rows)
