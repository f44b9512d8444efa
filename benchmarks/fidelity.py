"""How well a quarter of a training tells which designs are good: fewer epochs, rows, or pixels.

Run: python -m benchmarks.fidelity [--designs 20] [--steps 600] [digits mnist]

Designs are drawn from the space of whole networks and evaluated as a search evaluates them: in
full, in full with another seed, and at a quarter of the cost along each axis. Printed per set: the
rank correlation (Kendall's tau-b) of each with the full trainings, with a bootstrap interval over
designs, and its processor time as a share of theirs. mnist is cut to 10,000 rows.
"""

import argparse
import dataclasses
import random
import sys
import time

import numpy as np
from scipy.stats import kendalltau

import netwright as nw
from netwright._evaluate import Order, evaluate
from netwright._fidelity import steps_of
from netwright.data import TensorSplit
from netwright.design import Candidate
from netwright.design.spaces import macro_space

QUARTERS = ("epochs", "rows", "resolution")


def load(name: str) -> nw.Task:
    task = nw.load(name, seed=0)
    if name != "mnist":
        return task

    def first(split, n):
        split = split if isinstance(split, TensorSplit) else None
        assert split is not None
        return TensorSplit(split.x[:n], split.y[:n], split.rows[:n])

    return dataclasses.replace(
        task, train=first(task.train, 8000), validation=first(task.validation, 2000)
    )


def drawn(task: nw.Task, n: int):
    space, chance = macro_space(task.schema), random.Random(0)
    for _ in range(n):
        yield space.design(tuple(chance.randrange(len(d.options)) for d in space.decisions))


def score(task: nw.Task, candidate: Candidate, steps: int, seed: int) -> tuple[float, float]:
    """Validation accuracy, and processor seconds."""
    work = round(steps * candidate.fidelity)
    order = Order(
        candidate, (), "accuracy", steps=steps_of(work, candidate, task.schema.input), seed=seed
    )
    began = time.process_time()
    found = evaluate(order, task).measurements["accuracy"].value
    return found, time.process_time() - began


def interval(a, b) -> tuple[float, float]:
    chance, n = np.random.default_rng(0), len(a)
    found = []
    for _ in range(1000):
        places = chance.integers(n, size=n)
        if len(set(a[places])) > 1 and len(set(b[places])) > 1:  # else there is no ranking
            found.append(kendalltau(a[places], b[places])[0])
    low, high = np.quantile(found, [0.025, 0.975]) if found else (np.nan, np.nan)
    return float(low), float(high)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("sets", nargs="*", default=["digits", "mnist"])
    arguments.add_argument("--designs", type=int, default=20)
    arguments.add_argument("--steps", type=int, default=600, help="of a full training")
    given = arguments.parse_args()
    for name in given.sets:
        task = load(name)
        figures = {way: [] for way in ("full", "full, another seed", *QUARTERS)}
        designs = list(drawn(task, given.designs))
        score(task, Candidate(0, designs[0]), 20, 0)  # the first training warms up
        for number, design in enumerate(designs):
            full = Candidate(number, design)
            figures["full"].append(score(task, full, given.steps, 0))
            figures["full, another seed"].append(score(task, full, given.steps, 1))
            for axis in QUARTERS:
                brief = Candidate(number, design, 0.25, axis=axis)
                figures[axis].append(score(task, brief, given.steps, 0))
            shown = "  ".join(f"{way} {found[-1][0]:.4f}" for way, found in figures.items())
            print(f"{name} {number}: {shown}", file=sys.stderr, flush=True)
        columns = {way: np.array(found).T for way, found in figures.items()}
        truth, whole = columns["full"]
        spread = f"{truth.min():.3f} to {truth.max():.3f}"
        print(f"{name}: {given.designs} designs, accuracy {spread} after {given.steps} steps")
        print(f"  {'':20}{'tau':>6}{'95 % interval':>18}{'cost':>8}")
        for way, (values, seconds) in list(columns.items())[1:]:
            tau = kendalltau(truth, values)[0]
            low, high = interval(truth, values)
            cost = seconds.sum() / whole.sum()
            print(f"  {way:20}{tau:6.2f}{f'{low:.2f} to {high:.2f}':>18}{cost:8.2f}")


if __name__ == "__main__":
    main()
