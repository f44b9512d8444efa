"""The two networks that attacks are measured on: trained plainly, and on attacked images."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from netwright import _rng
from netwright.data import Task, load
from netwright.learn import Recipe, fit

__all__ = ["PLAIN", "images_task", "small_cnn", "trained"]

PLAIN = Recipe(learning_rate=5e-3, weight_decay=0.01, batch_size=100)


def images_task(seed: int) -> Task:
    """Load mnist if the folder of data sets is at hand, else the bundled digits.

    Args:
        seed: of the splits.
    """
    folder = os.environ.get("NETWRIGHT_DATA")
    at_hand = folder and (Path(folder) / "images" / "mnist.npz").is_file()
    return load("mnist" if at_hand else "digits", seed=seed)


def small_cnn(task: Task, seed: int) -> nn.Module:
    """Make a network of two convolutions for grey images.

    Args:
        task: gives the size of the images.
        seed: of the first weights.
    """
    side = task.schema.input.shape[-1]
    small = side < 16
    with _rng.seeded(seed):
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=1 if small else 2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (-(-side // (2 if small else 4))) ** 2, 64),
            nn.ReLU(),
            nn.Linear(64, len(task.schema.target.classes)),
        )


def trained(
    task: Task,
    *,
    steps: int,
    seed: int,
    wrap: Callable[[nn.Module], nn.Module] | None = None,
    **changes: Any,
) -> nn.Module:
    """Train a small network.

    Args:
        task: what to learn.
        steps: optimiser steps.
        seed: of weights and training.
        wrap: puts the network into another before it is trained; None leaves it as it is.
        **changes: to the recipe, for example `adversarial="pgd"` and `radius=0.1`.
    """
    network = small_cnn(task, _rng.child_seed(seed, "weights"))
    network = network if wrap is None else wrap(network)
    recipe = dataclasses.replace(PLAIN, **changes)
    fit(
        network,
        task.train,
        task.validation,
        target=task.schema.target,
        recipe=recipe,
        steps=steps,
        seed=_rng.child_seed(seed, "fit"),
        device="cpu",
    )
    return network
