"""`build` beside AutoML of others, gradient boosting and a tuned fixed network, at equal seconds.

Every contestant gets the same training rows (train + validation + calibration of one task), the
same wall clock on the same cores, one after the other, and the same test rows. Printed per set:
score with its 95 % interval, seconds, bytes that would be shipped; at the end the mean rank, on
images and texts, and on tables. `python -m benchmarks.design [--seconds 60] [SET ...]`.
AutoGluon and FLAML need an environment of their own, made by `pip install flaml xgboost-cpu
autogluon.tabular[lightgbm,catboost,fastai]`; RIVALS_PYTHON names its interpreter.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import netwright as nw
from benchmarks._tuned import tuned_network
from netwright import measure
from netwright.finding import Measurement, format_value

OWN = ("autogluon", "flaml")
RIVALS = Path(__file__).with_name("_rivals.py")


@dataclasses.dataclass(frozen=True)
class Set:
    """One data set: how many training rows are used, and who competes besides Netwright."""

    name: str
    n_train: int | None
    rivals: tuple[str, ...]


SETS = (
    Set("digits", None, ("autogluon", "flaml", "lightgbm", "tuned network")),
    Set("mnist", 10_000, ("autogluon", "flaml", "lightgbm", "tuned network")),
    Set("cifar10", 10_000, ("autogluon", "flaml", "lightgbm", "tuned network")),
    Set("adult", 10_000, ("autogluon", "flaml", "lightgbm", "tuned network")),
    Set("california_housing", None, ("autogluon", "flaml", "lightgbm", "tuned network")),
    Set("rt_polarity", None, ("autogluon", "tfidf", "tuned network")),
)


def load(each: Set) -> nw.Task:
    task = nw.load(each.name, seed=0)
    if each.n_train is None:
        return task
    have = len(task.train) + len(task.validation) + len(task.calibration)
    share = each.n_train / have

    def cut(part):
        n = round(len(part) * share)
        places = torch.randperm(len(part), generator=torch.Generator().manual_seed(0))[:n]
        groups = {k: tuple(v[i] for i in places.tolist()) for k, v in part.groups.items()}
        return dataclasses.replace(
            part, x=part.x[places], y=part.y[places], rows=part.rows[places], groups=groups
        )

    return dataclasses.replace(
        task, train=cut(task.train), validation=cut(task.validation),
        calibration=cut(task.calibration), fingerprint=f"{task.fingerprint}/{each.n_train}",
    )  # fmt: skip


def frames(task: nw.Task) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from and test rows as tables: pixels, columns, or one column of text."""
    known = (task.train, task.validation, task.calibration)
    test = task.test.open("benchmark rival")
    return pd.concat([_frame(task, p) for p in known], ignore_index=True), _frame(task, test)


def _frame(task: nw.Task, part) -> pd.DataFrame:
    x = part.take(range(len(part)))
    inputs = task.schema.input
    if inputs.kind == "text":
        words = ("", "?", *inputs.vocabulary)
        made = pd.DataFrame({"text": [" ".join(words[t] for t in row if t) for row in x.tolist()]})
    else:
        names = [c.name for c in inputs.columns] or [f"p{i}" for i in range(x[0].numel())]
        made = pd.DataFrame(x.flatten(1).numpy(), columns=names)
        for column in inputs.columns:
            if column.kind == "category":
                codes = made[column.name].astype(int)
                made[column.name] = pd.Categorical(codes, range(len(column.categories) + 1))
    return made.assign(target=part.y.squeeze().numpy())


def score(task: nw.Task, predicted: np.ndarray) -> Measurement:
    y = task.test.open("benchmark score").y.squeeze()
    if task.schema.target.kind == "class":
        hits = int((torch.as_tensor(predicted.astype(np.int64)) == y).sum())
        return measure.proportion(hits, len(y))
    values = torch.as_tensor(predicted.astype(np.float32))[:, None]
    generator = torch.Generator().manual_seed(0)
    return measure.rmse(values, y[:, None].float(), generator=generator)


def netwright(task: nw.Task, seconds: float, folder: Path) -> tuple[Measurement, float, int]:
    began = time.monotonic()
    run = nw.build(task, budget=f"{seconds:g}s", seed=0, out=folder / "run")
    took = time.monotonic() - began
    found = next(f for f in run.findings if f.name == "performance").measurement
    return found, took, run.artefact.stat().st_size


def rival(name: str, task: nw.Task, seconds: float, folder: Path):
    if name == "tuned network":
        predicted, took, size = tuned_network(task, seconds)
        return score(task, predicted), took, size
    python = os.environ.get("RIVALS_PYTHON", "") if name in OWN else sys.executable
    if not python:
        return "RIVALS_PYTHON is not set"
    command = [python, str(RIVALS), name, str(folder), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:80]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return score(task, np.load(folder / "predicted.npy")), said["seconds"], said["bytes"]


def ranks(scores: dict[str, Measurement], lower_is_better: bool) -> dict[str, float]:
    """Rank 1 is best; equal scores share the mean of their ranks."""
    sign = 1 if lower_is_better else -1
    series = pd.Series({name: sign * found.value for name, found in scores.items()})
    return series.rank().to_dict()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.design")
    parser.add_argument("sets", nargs="*", help="names; all without")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall clock of each contestant")
    given = parser.parse_args()
    print(f"{'set':<20}{'contestant':<16}{'score (95 %)':<28}{'seconds':>8}{'bytes':>12}  rank")
    placed: dict[str, list[tuple[str, float]]] = {}
    for each in SETS:
        if given.sets and each.name not in given.sets:
            continue
        task = load(each)
        results = {}
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            train, test = frames(task)
            train.to_parquet(folder / "train.parquet")
            test.to_parquet(folder / "test.parquet")
            kind = "value" if task.schema.target.kind == "value" else "class"
            (folder / "kind.txt").write_text(kind)
            results["netwright"] = netwright(task, given.seconds, folder)
            for name in each.rivals:
                results[name] = rival(name, task, given.seconds, folder)
        scores = {n: r[0] for n, r in results.items() if not isinstance(r, str)}
        rank = ranks(scores, lower_is_better=kind == "value")
        for name, result in results.items():
            if isinstance(result, str):
                print(f"{each.name:<20}{name:<16}not run: {result}", flush=True)
                continue
            found, took, size = result
            span = f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"
            shown = format_value(size, "bytes")
            print(
                f"{each.name:<20}{name:<16}{span:<28}{took:8.0f}{shown:>12}  {rank[name]:g}",
                flush=True,
            )
            family = "tables" if task.schema.input.kind == "table" else "images and texts"
            placed.setdefault(name, []).append((family, rank[name]))
    for name, found in placed.items():
        means = [
            f"{family} {statistics.mean(r for f, r in found if f == family):.2f}"
            for family in ("images and texts", "tables")
            if any(f == family for f, _ in found)
        ]
        print(f"mean rank {name:<16}{', '.join(means)}, of {len(found)} sets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
