"""Train a linear network with two processes on the CPU; each writes its weights as JSON.

Run: python -m tests.learn.fit_on_two FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn

from netwright import _rng
from netwright.data._schema import Target
from netwright.data._task import TensorSplit
from netwright.learn import Recipe, fit


def train(fabric, limit, folder=None):
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    split = TensorSplit(x, (x[:, 0] > 0).long(), torch.arange(90))
    with _rng.seeded(0):
        network = nn.Linear(3, 2)
    fitted = fit(
        network,
        split,
        split,
        target=Target("class", ("y",), ("a", "b")),
        recipe=Recipe(batch_size=45, average=0.9),  # an odd batch: one rank takes one row more
        seed=0,
        fabric=fabric,
        folder=folder,
        **limit,
    )
    return fitted.network.weight.tolist(), fitted.steps


def worker(fabric, folder):
    in_steps = train(fabric, {"steps": 60}, folder / "fit")
    in_seconds = train(fabric, {"seconds": 1.0})
    (folder / f"{fabric.global_rank}.json").write_text(json.dumps([in_steps, in_seconds]))
    # Left to the end of the process, the threads of the group may outlive what they stand on.
    fabric.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    from lightning_fabric import Fabric  # takes seconds, and tests are collected as modules

    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    fabric.launch(worker, Path(sys.argv[1]))
