"""Train on digits, and kill this very process after the second epoch, as a power cut would.

Run: python -m tests.learn.fit_and_die FOLDER
"""

import os
import signal
import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import TensorSplit
from netwright.learn import Recipe, _fit, fit


def train(folder, die_after):
    data = load_digits()
    x = torch.tensor(data.images * (255 / 16)).round().to(torch.uint8)[:, None]
    y = torch.tensor(data.target)
    splits = [TensorSplit(x[p], y[p], p) for p in torch.arange(600).split([400, 200])]
    with _rng.seeded(0):
        network = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2),
            nn.Linear(288, 10),
        )  # fmt: skip
    seen = []

    def on_epoch(epoch):
        seen.append(epoch.number)
        if epoch.number == die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    _fit._SHARE = 0  # a checkpoint every epoch, however long it takes
    return fit(
        network,
        *splits,
        target=Target("class", ("digit",), tuple("0123456789")),
        recipe=Recipe(batch_size=40, average=0.9, augment=("noise",)),
        steps=180,
        seed=0,
        folder=folder,
        on_epoch=on_epoch,
    ), seen


if __name__ == "__main__":
    train(Path(sys.argv[1]), 2)
