"""What a search costs besides training and measuring its candidates.

Run: python -m benchmarks.strategies [--cycles 1000] [--budget 60s] [strategy ...]

First the processor time of asking each strategy for so many candidates and telling it of them,
untrained, in three spaces; the accuracies are made up, better for designs of more weight. Then a
build of the digits by each named search: the share of its whole time that the search took for
itself, that is, for neither training candidates nor measuring them or their costs. Aims: 10 s for
1,000 cycles, 5 % of a build.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import netwright as nw
from netwright import _build, _workers
from netwright._costs import Costs
from netwright.claims._tiny_cells import SCHEMA, space
from netwright.data import Input, Schema, Target
from netwright.design import Strategy
from netwright.design import strategies as searches
from netwright.design.spaces import Space, cell_space, macro_space
from netwright.finding import Measurement

BUILT = ("portfolio", "random", "evolution", "controller", "progressive", "bayesian")
IMAGES = Schema(Input("image", (1, 28, 28), mean=(0.1,), std=(0.3,)), SCHEMA.target)
SEQUENCES = Schema(
    Input("sequence", (3, 128), mean=(0.0,) * 3, std=(1.0,) * 3),
    Target("class", ("kind",), ("a", "b")),
)


def strategies(codes: Space, n: int) -> dict[str, Strategy]:
    given: dict[str, Any] = {"n_candidates": n, "seed": 0}
    return {
        "random": searches.RandomCodes(codes, **given),
        "evolution": searches.RegularizedEvolution(codes, **given),
        "REINFORCE": searches.Reinforce(codes, **given),
        "PPO": searches.Reinforce(codes, clip=0.2, **given),
        "progressive": searches.Progressive(codes, **given),
        "TPE": searches.Bayesian(codes, **given),
        "ASHA": searches.Asha(codes, **given),
        "portfolio evolution": searches.PortfolioEvolution(
            codes, explore=0.8 * n, compare=0.19 * n, n_finalists=max(1, n // 5), **given
        ),
    }


def cycles(strategy: Strategy, n: int) -> tuple[int, float]:
    """Ask and tell; returns how often, and the processor time."""
    began, asked = time.process_time(), 0
    while asked < n and (candidate := strategy.ask()) is not None:
        name = candidate.design.name  # the same design is as good again
        value = 0.5 + 0.4 * (sum(map(ord, name)) % 101) / 101
        strategy.tell(candidate, {"accuracy": Measurement(value, value, value, 1000)})
        asked += 1
    return asked, time.process_time() - began


@contextlib.contextmanager
def timed(owner: object, name: str) -> Iterator[list[float]]:
    """Add up the seconds of the calls of a function, those that it makes of itself left out."""
    original: Callable = getattr(owner, name)
    spent, depth = [0.0], [0]

    def run(*args, **kwargs):
        began, depth[0] = time.perf_counter(), depth[0] + 1
        try:
            return original(*args, **kwargs)
        finally:
            depth[0] -= 1
            spent[0] += 0.0 if depth[0] else time.perf_counter() - began

    with patch.object(owner, name, run):
        yield spent


def share_of(strategy: str, budget: str) -> tuple[float, float, float]:
    """Build; returns the seconds of the build, of its search, and of the search's own."""
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as scratch,
        timed(_build, "search") as search,
        timed(_workers, "evaluate") as evaluate,
        timed(Costs, "of") as costs,
    ):
        nw.build("digits", budget=budget, strategy=strategy, out=Path(scratch) / "run")
    return time.perf_counter() - began, search[0], search[0] - evaluate[0] - costs[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=BUILT, help="searches to build with")
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--budget", default="60s")
    given = parser.parse_args()
    torch.set_num_threads(1)
    spaces = {
        "tiny cells": space(),
        "networks": macro_space(IMAGES),
        "cells": cell_space(IMAGES),
        "of sequences": macro_space(SEQUENCES),
    }
    print(f"{'s of a core for the cycles':24}" + "".join(f"{name:>22}" for name in spaces))
    for name in strategies(space(), 1):
        print(f"{name:24}", end="", flush=True)
        for codes in spaces.values():
            asked, spent = cycles(strategies(codes, given.cycles)[name], given.cycles)
            print(f"{f'{spent:.2f} ({asked:,})':>22}", end="", flush=True)
        print()
    print(
        f"\n{'build of digits':24}{'whole, s':>12}{'search, s':>12}{'its own, s':>12}{'share':>9}"
    )
    for name in given.names:
        whole, search, own = share_of(name, given.budget)
        print(f"{name:24}{whole:12.1f}{search:12.1f}{own:12.2f}{own / whole:9.1%}", flush=True)


if __name__ == "__main__":
    main()
