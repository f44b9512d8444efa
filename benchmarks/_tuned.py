"""The rival that most people would write: a fixed network, tuned by Optuna in a bare torch loop."""

import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import netwright as nw


def tuned_network(task: nw.Task, seconds: float, *, n_trials: int = 6):
    """Tune rate, decay and dropout for half of the seconds, then train the best for the rest.

    Args:
        task: whose training and validation rows are used.
        seconds: wall clock of everything.
        n_trials: of Optuna's TPE.

    Returns:
        Predictions of the test rows, seconds, and bytes of the weights in float32.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), direction="minimize")
    each = 0.5 * seconds / n_trials

    def objective(trial) -> float:
        options = {
            "rate": trial.suggest_float("rate", 3e-4, 3e-2, log=True),
            "decay": trial.suggest_float("decay", 1e-4, 1e-1, log=True),
            "p_drop": trial.suggest_float("p_drop", 0.0, 0.5),
        }
        return _loss(task, _train(task, each, **options), task.validation)

    study.optimize(objective, n_trials=n_trials)
    left = seconds - (time.perf_counter() - began)
    network = _train(task, 0.95 * left, **study.best_params)
    predicted = _predict(task, network, task.test.open("benchmark rival"))
    size = 4 * sum(p.numel() for p in network.parameters())
    return predicted, time.perf_counter() - began, size


def _network(task: nw.Task, p_drop: float) -> nn.Module:
    inputs, target = task.schema.input, task.schema.target
    n_out = len(target.classes) if target.kind == "class" else 1
    if inputs.kind == "image":
        channels, layers = inputs.shape[0], []
        for width in (32, 64, 128):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
            channels = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(p_drop)]
        return nn.Sequential(*layers, nn.Linear(channels, n_out))
    if inputs.kind == "table":
        width, n_in = 256, sum(_width(c) for c in inputs.columns)
        block = [nn.ReLU(), nn.Dropout(p_drop)]
        return nn.Sequential(
            nn.Linear(n_in, width), *block, nn.Linear(width, width), *block, nn.Linear(width, n_out)
        )
    return nn.Sequential(
        nn.EmbeddingBag(len(inputs.vocabulary) + 2, 64, mode="mean", padding_idx=0),
        nn.Dropout(p_drop),
        nn.Linear(64, n_out),
    )


def _width(column) -> int:
    return len(column.categories) + 1 if column.kind == "category" else 2


def _prepare(task: nw.Task, x: torch.Tensor) -> torch.Tensor:
    inputs = task.schema.input
    if inputs.kind == "image":
        mean, std = (torch.tensor(v)[:, None, None] for v in (inputs.mean, inputs.std))
        return (x - mean) / std
    if inputs.kind == "text":
        return x
    parts = []
    for i, column in enumerate(inputs.columns):
        if column.kind == "category":
            parts.append(functional.one_hot(x[:, i].long(), len(column.categories) + 1).float())
        else:
            value = (x[:, i : i + 1] - column.mean) / column.std
            parts += [value.nan_to_num(), value.isnan().float()]
    return torch.cat(parts, 1)


def _train(task: nw.Task, seconds: float, *, rate: float, decay: float, p_drop: float):
    torch.manual_seed(0)
    network = _network(task, p_drop)
    batch = 64 if len(task.train) < 5_000 else 256
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    generator = torch.Generator().manual_seed(0)
    began, done = time.perf_counter(), 0.0
    while done < 1:
        for x, y in task.train.batches(batch, generator=generator):
            done = (time.perf_counter() - began) / seconds
            if done >= 1:
                break
            optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * done)) / 2
            loss = _criterion(task, network(_prepare(task, x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def _criterion(task: nw.Task, made: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if task.schema.target.kind == "class":
        return functional.cross_entropy(made, y)
    mean, std = task.schema.target.mean[0], task.schema.target.std[0]
    return functional.mse_loss(made.squeeze(1), (y.float().reshape(-1) - mean) / std)


@torch.no_grad()
def _loss(task: nw.Task, network: nn.Module, part) -> float:
    found = [_criterion(task, network(_prepare(task, x)), y).item() for x, y in part.batches(512)]
    return float(np.mean(found))


@torch.no_grad()
def _predict(task: nw.Task, network: nn.Module, part) -> np.ndarray:
    made = torch.cat([network(_prepare(task, x)) for x, _ in part.batches(512)])
    if task.schema.target.kind == "class":
        return made.argmax(1).numpy()
    return (made.squeeze(1) * task.schema.target.std[0] + task.schema.target.mean[0]).numpy()
