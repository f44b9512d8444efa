"""LeNet-300-100 and LeNet-5 on mnist, trained and made small: what claims F1 and F3 measure.

Paper:    Han, Mao, Dally. Deep Compression: Compressing Deep Neural Networks with Pruning, Trained
          Quantization and Huffman Coding. ICLR 2016, arXiv:1510.00149. Tables 1 to 5.
Departs:  in the full run LeNet-300-100, once pruned, learns the soft targets of the network before
          compression (Hinton, Vinyals, Dean 2015), since labels that it knows by heart pull it away
          from what it was; and its biases share values too. Fewer shared values than the paper's 32
          for linear and 256 for convolutional layers.
Notation: n_shared = k; keeps = 1 - the share that is pruned.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.compress import (
    distil,
    encode,
    hinton,
    kept,
    plain_state,
    prune_layers,
    settle,
    share_weights,
    weights,
)
from netwright.data import Split, Task
from netwright.learn import Recipe, fit

__all__ = [
    "Plan",
    "Stages",
    "compress",
    "lenet_300_100",
    "lenet_5",
    "plans",
    "right",
    "teach",
    "train",
]

_INDEX_BITS = 5  # of the paper's relative index


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a network is trained, and how it is made small.

    Attributes:
        make: builds the network.
        paper: the paper's bytes at first, the share of them after each of the three stages, and its
            test error before and after.
        recipe: of the first training.
        taught: whether the network before compression teaches the pruned one.
        rate: peak learning rate of the trainings after prunings; that of the shared values has a
            twentieth of it. Both do without weight decay.
        reference: steps of the first training.
        keeps: for each pruning, the share of each weight that is kept.
        steps: of the training after each pruning, one number for each.
        n_shared: different values of each weight, and of biases that share theirs.
        share_steps: of the training of the shared values.
    """

    make: Callable[[], nn.Module]
    paper: tuple[float, ...]
    recipe: Recipe
    taught: bool
    rate: float
    reference: int
    keeps: Sequence[dict[str, float]]
    steps: Sequence[int]
    n_shared: dict[str, int]
    share_steps: int


@dataclass(frozen=True, slots=True)
class Stages:
    """What became of a network.

    Attributes:
        file: the `.nwz` file.
        sizes: bytes before, pruned, with shared values, and of the file.
        kept: share of each weight that is not zero.
        right: whether each test row is right, before and after each stage; the last is the file's.
    """

    file: bytes
    sizes: tuple[float, float, float, float]
    kept: dict[str, float]
    right: tuple[Tensor, Tensor, Tensor]


def lenet_300_100() -> nn.Module:
    """Make the network of two hidden layers, 266,610 parameters."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def lenet_5() -> nn.Module:
    """Make the convolutional network as Caffe has it, which the paper uses; 431,080 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


def compress(plan: Plan, task: Task, test: Split, *, seed: int) -> Stages:
    """Train a network, prune it step by step, let weights share values, and encode it.

    Args:
        plan: what to do.
        task: what to learn.
        test: rows on which every stage is looked at; they decide nothing.
        seed: of weights and training.
    """
    with _rng.seeded(_rng.child_seed(seed, "weights")):
        network = plan.make()
    reference = _rng.child_seed(seed, "reference")
    train(network, task, plan.recipe, steps=plan.reference, seed=reference)
    before, dense = right(network, test), _dense(network)
    again = partial(train if not plan.taught else teach(copy.deepcopy(network)), network, task)
    recipe = replace(plan.recipe, learning_rate=plan.rate, weight_decay=0.0)
    slow = replace(recipe, learning_rate=plan.rate / 20)
    for k, keep in enumerate(plan.keeps):
        prune_layers(network, keep)
        again(recipe, steps=plan.steps[k], seed=_rng.child_seed(seed, f"pruned/{k}"))
    pruned = right(network, test)
    layers = {name: n / total for name, (n, total) in kept(network).layers.items()}
    only_pruned = _listed(network, {})
    share_weights(network, plan.n_shared)
    again(slow, steps=plan.share_steps, seed=_rng.child_seed(seed, "shared"))
    only_shared = _listed(network, plan.n_shared)
    settle(network)
    file = encode(plain_state(network))
    sizes = (dense, only_pruned, only_shared, float(len(file)))
    return Stages(file, sizes, layers, (before, pruned, right(network, test)))


@torch.no_grad()
def right(network: nn.Module, split: Split) -> Tensor:
    """Say of each row whether its class is right.

    Args:
        network: gives logits.
        split: the rows.
    """
    network.eval()
    return torch.cat([network(x).argmax(1) == y for x, y in split.batches(512)])


def train(network: nn.Module, task: Task, recipe: Recipe, *, steps: int, seed: int) -> None:
    """Train a network in place, on one CPU.

    Args:
        network: changed in place; constraints go on holding.
        task: what to learn.
        recipe: how.
        steps: of the optimiser.
        seed: of the order of rows.
    """
    fit(
        network,
        task.train,
        task.validation,
        target=task.schema.target,
        recipe=recipe,
        steps=steps,
        seed=seed,
        device="cpu",
    )


def teach(teacher: nn.Module) -> Callable[..., None]:
    """Return what trains as `train` does, but on soft targets for the most part.

    Args:
        teacher: whose soft targets they are.
    """

    def taught(network: nn.Module, task: Task, recipe: Recipe, *, steps: int, seed: int) -> None:
        distil(
            network,
            teacher,
            task.train,
            steps=steps,
            seed=seed,
            loss=hinton(),
            batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )

    return taught


def _dense(network: nn.Module) -> float:
    return 4.0 * sum(tensor.numel() for tensor in plain_state(network).values())


def _listed(network: nn.Module, n_shared: dict[str, int]) -> float:
    # Bytes as the paper counts a stage: a value (32 bits, or a code and a book) and an index each.
    matrices = weights(network)
    listed = matrices | {n: plain_state(network)[n] for n in n_shared}
    total = 4.0 * sum(t.numel() for n, t in plain_state(network).items() if n not in listed)
    for name, weight in listed.items():
        count = int(weight.count_nonzero())
        bits = math.ceil(math.log2(n_shared[name])) if name in n_shared else 32
        total += count * (bits + _INDEX_BITS) / 8 + 4 * n_shared.get(name, 0)
    return total


_MLP = ("1.weight", "3.weight", "5.weight")
_MLP_SHARED = {"1.weight": 12, "3.weight": 12, "5.weight": 16, "1.bias": 32, "3.bias": 32}
_CNN = ("0.weight", "2.weight", "5.weight", "7.weight")


def plans(*, full: bool) -> dict[str, Plan]:
    """Return how each network is made small; shares and steps were chosen on validation rows.

    Args:
        full: train longer, and prune further.
    """
    mlp = ((0.3, 0.4, 0.85), (0.15, 0.27, 0.75), (0.085, 0.17, 0.6))
    cnn = ((0.9, 0.5, 0.4, 0.6), (0.8, 0.25, 0.15, 0.4), (0.7, 0.14, 0.06, 0.25))
    if not full:
        mlp, cnn = ((0.25, 0.4, 0.8), (0.1, 0.2, 0.6)), ((0.8, 0.3, 0.15, 0.5), cnn[-1])
    return {
        "LeNet-300-100": Plan(
            make=lenet_300_100,
            paper=(1070e3, 0.08, 0.031, 0.0249, 0.0164, 0.0158),
            recipe=Recipe(),
            taught=full,  # a network that was trained in brief has little to teach
            rate=2e-3 if full else 4e-3,
            reference=8000 if full else 1600,
            keeps=[dict(zip(_MLP, shares, strict=True)) for shares in mlp],
            steps=(1500, 2000, 6000) if full else (900, 900),
            n_shared=_MLP_SHARED if full else dict.fromkeys(_MLP, 16),
            share_steps=2000 if full else 300,
        ),
        "LeNet-5": Plan(
            make=lenet_5,
            paper=(1720e3, 0.08, 0.0305, 0.0255, 0.0080, 0.0074),
            recipe=Recipe(),
            taught=False,
            rate=2e-3,
            reference=2800 if full else 700,
            keeps=[dict(zip(_CNN, shares, strict=True)) for shares in cnn],
            steps=(1000, 1000, 1000) if full else (250, 250),
            n_shared=dict.fromkeys(_CNN, 16),
            share_steps=400 if full else 100,
        ),
    }
