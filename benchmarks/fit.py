"""The fit loop against a bare torch loop, Lightning's Trainer and Keras: same network, data, steps.

A pair runs both rivals, one after the other, in alternating order, in this process; a ratio is ours
divided by theirs, so below 1 is faster. Times are CPU seconds of the process on one thread, which
what else the machine does touches little; wall-clock ratios stand beside them.

Run: python -m benchmarks.fit [--quick]
"""

import argparse
import copy
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.data import Target, TensorSplit, load
from netwright.learn import Recipe, evaluate, fit, one_cycle
from netwright.measure import macs

RECIPE = Recipe(batch_size=125)
STEPS_PER_EPOCH = 56  # what `fit` makes of 1,000 rows: 7 passes of 8 batches


Train = Callable[["Case"], None]


@dataclass(frozen=True, slots=True)
class Case:
    """What all rivals train, and on what."""

    name: str
    network: nn.Module  # copied before each training
    train: TensorSplit
    validation: TensorSplit
    target: Target
    steps: int
    images: bool
    bf16: bool  # whether `fit` chooses bfloat16 here


def plain_cnn() -> nn.Module:
    with _rng.seeded(0):
        layers: list[nn.Module] = []
        for n_in, n_out in ((1, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(n_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mlp() -> nn.Module:
    with _rng.seeded(0):
        return nn.Sequential(
            nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        )


def ours(case: Case, folder: Path | None = None) -> None:
    fit(
        copy.deepcopy(case.network),
        case.train,
        case.validation,
        target=case.target,
        recipe=RECIPE,
        steps=case.steps,
        seed=0,
        device="cpu",
        folder=folder,
    )


def ours_saved(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours(case, Path(folder))


def bare(case: Case, *, tuned: bool = True) -> None:
    """What one writes by hand; tuned: with the precision and the layout that `fit` chooses."""
    network, train = copy.deepcopy(case.network), case.train
    layout = torch.channels_last if tuned and case.images else torch.contiguous_format
    network = network.to(memory_format=layout)
    bf16 = tuned and case.bf16
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05, fused=True)
    order = torch.Generator().manual_seed(0)
    step, total = 0, torch.zeros(())
    while True:
        for places in torch.randperm(len(train), generator=order).split(RECIPE.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = RECIPE.learning_rate * one_cycle(step / case.steps)
            x, y = train.take(places), train.y[places]
            x = x.contiguous(memory_format=layout)
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = functional.cross_entropy(network(x).float(), y)
            loss.backward()
            total += loss.detach()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % STEPS_PER_EPOCH == 0 or step == case.steps:
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    evaluate(network, case.validation, case.target)
            if step == case.steps:
                return


def lightning(case: Case, *, precision: str = "32-true") -> None:
    import lightning as pl
    from torch.utils.data import DataLoader, TensorDataset

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = copy.deepcopy(case.network)

        def training_step(self, batch, _):
            x, y = batch
            return functional.cross_entropy(self.network(x), y)

        def validation_step(self, batch, _):
            x, y = batch
            self.log("loss", functional.cross_entropy(self.network(x), y))

        def configure_optimizers(self):
            # Lightning does not clip the gradients of fused optimisers in mixed precision.
            fused = precision == "32-true"
            optimizer = torch.optim.AdamW(self.parameters(), weight_decay=0.05, fused=fused)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, RECIPE.learning_rate, total_steps=case.steps + 1, cycle_momentum=False
            )
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def loader(split: TensorSplit, **options):
        rows = TensorDataset(split.take(slice(None)), split.y)
        return DataLoader(rows, batch_size=RECIPE.batch_size, **options)

    trainer = pl.Trainer(
        max_steps=case.steps,
        accelerator="cpu",
        precision=precision,
        gradient_clip_val=1.0,
        check_val_every_n_epoch=STEPS_PER_EPOCH // (len(case.train) // RECIPE.batch_size),
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        Module(),
        loader(case.train, shuffle=True, drop_last=True),
        loader(case.validation, shuffle=False),
    )


def lightning_bf16(case: Case) -> None:
    lightning(case, precision="bf16-mixed")


def keras(case: Case) -> None:
    import keras
    from keras import layers

    shape = tuple(case.train.x.shape[1:])
    stack: list = [keras.Input(shape)]
    if case.images:
        first = {"data_format": "channels_first"}
        for width in (16, 32, 64):
            stack += [
                layers.Conv2D(width, 3, padding="same", use_bias=False, **first),
                layers.BatchNormalization(axis=1),
                layers.ReLU(),
            ]
        stack += [layers.GlobalAveragePooling2D(**first)]
    else:
        stack += [layers.Dense(256, activation="relu"), layers.Dense(256, activation="relu")]
    model = keras.Sequential([*stack, layers.Dense(10)])
    schedule = keras.optimizers.schedules.CosineDecay(RECIPE.learning_rate, case.steps)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    per_pass = len(case.train) // RECIPE.batch_size
    model.fit(
        case.train.take(slice(None)).numpy(),
        case.train.y.numpy(),
        batch_size=RECIPE.batch_size,
        epochs=case.steps // per_pass,
        validation_data=(case.validation.take(slice(None)).numpy(), case.validation.y.numpy()),
        validation_freq=STEPS_PER_EPOCH // per_pass,
        verbose=0,
    )


def paired(case: Case, first: Train, second: Train, n_pairs: int) -> tuple[str, str]:
    """Run both in alternating order; return the ratios of CPU time and of wall time as text."""
    first(case)  # warm up: imports, kernels, allocator
    second(case)
    cpu, wall = [], []
    for pair in range(n_pairs):
        took = {}
        for run in (first, second) if pair % 2 else (second, first):
            began = time.process_time(), time.perf_counter()
            run(case)
            took[run] = time.process_time() - began[0], time.perf_counter() - began[1]
        cpu.append(took[first][0] / took[second][0])
        wall.append(took[first][1] / took[second][1])
    texts = [f"{statistics.median(r):.3f} [{min(r):.3f}, {max(r):.3f}]" for r in (cpu, wall)]
    return texts[0], texts[1]


def floor(case: Case) -> str:
    """Arithmetic that no loop can avoid: forward, and twice that backward, at this core's rate."""
    x = case.train.take(slice(0, RECIPE.batch_size))
    work = 3 * macs(case.network, x).macs * case.steps
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    rates = []
    for _ in range(5):
        began = time.process_time()
        a @ b
        rates.append(1024**3 / (time.process_time() - began))
    began = time.process_time()
    ours(case)
    took = time.process_time() - began
    return (
        f"{work / 1e9:.1f} GMAC, {work / max(rates):.2f} s at the {max(rates) / 1e9:.0f} GMAC/s of "
        f"a float32 matrix product; ours took {took:.2f} s"
    )


def cases(steps: int) -> list[Case]:
    task = load("digits")
    assert isinstance(task.train, TensorSplit) and isinstance(task.validation, TensorSplit)
    keep = slice(0, 1000)
    train = TensorSplit(task.train.x[keep], task.train.y[keep], task.train.rows[keep])
    validation, target = task.validation, task.schema.target

    def flat(split: TensorSplit) -> TensorSplit:
        return TensorSplit(split.take(slice(None)).flatten(1), split.y, split.rows)

    features = torch.cpu.get_capabilities()
    bf16 = bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return [
        Case("plain CNN on digits", plain_cnn(), train, validation, target, steps, True, bf16),
        Case(
            "MLP on digits", mlp(), flat(train), flat(validation), target, 2 * steps, False, False
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter pairs")
    quick = parser.parse_args().quick
    n_pairs = 3 if quick else 9
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # the rivals' advice about workers and logging
    for case in cases(112 if quick else 336):
        print(
            f"\n{case.name}: {case.steps} steps of {RECIPE.batch_size}, {n_pairs} pairs, 1 thread"
        )
        print(f"floor: {floor(case)}")
        print(f"{'ours / theirs':40} {'CPU time: median [range]':24} {'wall time':24} bar")
        rivals: list[tuple[str, Train, Train, str]] = [
            ("bare torch loop", ours, bare, "<= 1.03"),
            ("the same, ours with checkpoints, events", ours_saved, bare, "<= 1.03"),
            ("Lightning Trainer, float32", ours, lightning, "< 1"),
            ("Keras, torch backend", ours, keras, "< 1"),
        ]
        if case.bf16:
            plain = partial(bare, tuned=False)
            rivals.insert(2, ("bare torch loop, float32, channels first", ours, plain, ""))
            rivals.insert(4, ("Lightning Trainer, bf16-mixed", ours, lightning_bf16, "< 1"))
        for label, first, second, bar in rivals:
            cpu, wall = paired(case, first, second, n_pairs)
            print(f"{label:40} {cpu:24} {wall:24} {bar}", flush=True)


if __name__ == "__main__":
    main()
