"""Make a task from a source."""

import hashlib

import numpy as np
import torch

from netwright.data import _named, _split
from netwright.data._errors import DataError
from netwright.data._schema import Column, Input, Schema, Target
from netwright.data._task import SealedSplit, Task, TensorSplit
from netwright.finding import Table

__all__ = ["load"]


def load(source: str, *, seed: int = 0) -> Task:
    """Make a task from a named data set.

    Args:
        source: digits, iris, wine, breast_cancer or diabetes.
        seed: decides the split.
    """
    x, y, classes, columns = _named.bundled(source)
    n = len(y)
    strata = y if classes else _split.strata_of_values(y)
    chosen = _split.assign(n, seed=seed, strata=strata)
    train = x[chosen == 0]
    if x.dtype == np.uint8:
        scaled = train.astype(np.float64) / 255
        inputs = Input(
            "image",
            x.shape[1:],
            mean=tuple(scaled.mean((0, 2, 3)).tolist()),
            std=tuple(scaled.std((0, 2, 3)).tolist()),
        )
    else:
        grid = np.linspace(0, 1, 50)[1:-1]
        fitted = [
            Column(
                name,
                "number",
                mean=float(column.mean()),
                std=float(column.std()) or 1.0,
                minimum=float(column.min()),
                maximum=float(column.max()),
                quantiles=tuple(np.unique(np.quantile(column, grid)).tolist()),
            )
            for name, column in zip(columns, train.T.astype(np.float64), strict=True)
        ]
        inputs = Input("table", (x.shape[1],), columns=tuple(fitted))
    if classes:
        target = Target("class", ("target",), classes=classes)
    else:
        known = y[chosen == 0]
        target = Target("value", ("target",), mean=(float(known.mean()),), std=(float(known.std()),))

    def part(place: int) -> TensorSplit:
        rows = np.flatnonzero(chosen == place)
        goal = torch.from_numpy(y[rows])
        goal = goal.long() if classes else goal.float()[:, None]
        return TensorSplit(torch.from_numpy(x[rows]), goal, torch.from_numpy(rows))

    digest = hashlib.sha256(x.tobytes() + y.tobytes() + chosen.tobytes()).hexdigest()
    return Task(
        name=source,
        schema=Schema(inputs, target),
        train=part(0),
        validation=part(1),
        calibration=part(2),
        test=SealedSplit(part(3)),
        fingerprint=digest,
        quarantine=Table("Rows left out", ("file", "row", "reason"), ()),
        duplicates=Table("Duplicates across splits", ("split", "row", "kind"), ()),
    )
