"""Candidates for compression: which passes, in which order, how strong for each layer."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from netwright.artefact import OnnxNetwork, read_onnx
from netwright.audits.uncertainty import fit_temperature, fit_temperature_labels
from netwright.compress import (
    is_quantisable,
    kept,
    pack,
    prune_layers,
    settle,
    share_weights,
    to_int8,
    weights,
)
from netwright.data import Task
from netwright.finding import Table
from netwright.learn import Budget, Recipe, fit, score_for

if TYPE_CHECKING:
    import onnx

__all__ = ["Candidate", "Sensitivity", "candidates", "sensitivity"]

KEEPS = (0.8, 0.6, 0.4, 0.3, 0.2, 0.13, 0.08, 0.05)
SHARED = (32, 16, 8, 4)
_LEVELS = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    0.08,
)  # score that one layer alone may cost, untrained
_ROWS = 2000  # of the validation split, on which layers are tried
_FEWEST = 64  # weights; smaller tensors are not pruned
_CALIBRATION = 256  # rows
_TEMPERATURE = "const/temperature"  # as `Calibrated` is exported


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What each layer alone can bear, before any training.

    Attributes:
        losses: for each weight and each setting ("keep 0.25", "4 values"), the drop of the
            validation score; for values as a share of the untouched network's error.
        score: of the untouched network.
    """

    losses: Mapping[str, Mapping[str, float]]
    score: float

    def strongest(self, name: str, settings: Sequence[str], most: float) -> str | None:
        """Return the last setting up to which a weight costs no more; None if there is none.

        Args:
            name: of the weight.
            settings: ever stronger.
            most: drop of the score.
        """
        found = None
        for setting in settings:
            if self.losses[name][setting] > most:
                break
            found = setting
        return found

    @property
    def tables(self) -> tuple[Table, Table]:
        """All of it, for people: pruning, and sharing."""
        pruned, shared = [_keep(k) for k in KEEPS], [_values(n) for n in SHARED]
        lost = "points (values: % of the error) lost by one layer alone, before training"
        return self._table(f"Pruned: {lost}", pruned), self._table(f"Shared: {lost}", shared)

    def _table(self, title: str, settings: Sequence[str]) -> Table:
        rows = tuple(
            (name, *(round(100 * losses[s], 2) if s in losses else None for s in settings))
            for name, losses in self.losses.items()
        )
        return Table(title, ("weight", *settings), rows)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A smaller network.

    Attributes:
        passes: what was done, in order, in words.
        model: the ONNX model.
        file: the `.nwz` file of it.
        untouched: for each weight that was left alone, why.
        layers: for each weight, how many elements are not zero, how many there are, and how many
            different values they have; empty where nothing was done to it.
    """

    passes: str
    model: "onnx.ModelProto"
    file: bytes
    untouched: Mapping[str, str]
    layers: Mapping[str, tuple[int, int, int]]


def sensitivity(network: nn.Module, task: Task) -> Sensitivity:
    """Try every setting on every layer alone.

    Args:
        network: left as it is.
        task: supplies validation rows.

    Cost: layers times settings times a pass over at most 2,000 rows.
    """
    places = torch.arange(min(_ROWS, len(task.validation)))
    x, y = task.validation.take(places), task.validation.y[places]
    measure = score_for(task.schema.target)

    @torch.no_grad()
    def score(changed: nn.Module) -> float:
        return measure(torch.cat([changed(part) for part in x.split(500)]), y)

    whole = score(network)
    # A score of classes is a share already; an error has the target's unit.
    scale = 1.0 if task.schema.target.kind in ("class", "labels") else max(abs(whole), 1e-12)
    losses: dict[str, dict[str, float]] = {}
    for name, weight in weights(network).items():
        found: dict[str, float] = {}
        if weight.numel() >= _FEWEST:
            for share in KEEPS:
                trial = copy.deepcopy(network)
                prune_layers(trial, {name: share})
                found[_keep(share)] = (whole - score(trial)) / scale
        for n in SHARED:
            if weight.numel() > n:
                trial = copy.deepcopy(network)
                share_weights(trial, {name: n})
                found[_values(n)] = (whole - score(trial)) / scale
        losses[name] = found
    return Sensitivity(losses, whole)


def candidates(
    model: "onnx.ModelProto",
    task: Task,
    found: Sensitivity,
    *,
    recipe: Recipe,
    budget: Budget,
    feed: Callable[[Tensor], Mapping[str, np.ndarray]],
    seed: int,
) -> Iterator[Candidate]:
    """Make ever smaller networks, each of the ones before it: prune, train, share values, train.

    Args:
        model: as it was shipped.
        task: whose training rows the smaller networks learn from.
        found: how strong each layer may be pressed.
        recipe: of the network's first training; training goes on at a third of its rate, without
            weight decay.
        budget: of all trainings together.
        feed: makes raw rows of what the network receives, for calibration.
        seed: of the trainings.
    """
    again = replace(recipe, learning_rate=recipe.learning_rate / 3, weight_decay=0.0, epochs=0)
    again = replace(again, average=0.0)  # an average over steps is no weight of few values
    train = _trainer(task, again, budget, seed)
    rows = task.calibration.take(range(min(_CALIBRATION, len(task.calibration))))
    if is_quantisable(model):
        made = to_int8(model, [feed(rows)])
        yield Candidate("int8", made, pack(made), {}, {})
    network = _learnable(read_onnx(model))
    shared = copy.deepcopy(network)
    yield _share(model, shared, task, found, _LEVELS[1], train, "shared values", {})
    last: dict[str, float] = {}
    for level in _LEVELS:
        strengths, untouched = _strengths(found, level)
        if strengths == last:
            continue  # no layer bears more at this level than at the one before
        last = strengths
        prune_layers(network, strengths)
        train(network, 2)
        share = kept(network).share
        words = f"pruned to {100 * share:.0f} %, trained, shared values"
        yield _share(model, copy.deepcopy(network), task, found, level, train, words, untouched)


def _strengths(found: Sensitivity, most: float) -> tuple[dict[str, float], dict[str, str]]:
    strengths, untouched = {}, {}
    names = [_keep(k) for k in KEEPS]
    for name, losses in found.losses.items():
        if names[0] not in losses:
            untouched[name] = f"not pruned: fewer than {_FEWEST} weights"
            continue
        setting = found.strongest(name, names, most)
        if setting is None:
            worst = 100 * losses[names[0]]
            untouched[name] = f"not pruned: a fifth of it alone costs {worst:.1f} points"
        else:
            strengths[name] = KEEPS[names.index(setting)]
    return strengths, untouched


def _share(
    model: "onnx.ModelProto",
    network: OnnxNetwork,
    task: Task,
    found: Sensitivity,
    most: float,
    train: Callable[[nn.Module, float], None],
    words: str,
    untouched: Mapping[str, str],
) -> Candidate:
    books = {}
    for name, losses in found.losses.items():
        settings = [_values(n) for n in SHARED if _values(n) in losses]
        setting = found.strongest(name, settings, most)
        books[name] = SHARED[0] if setting is None else SHARED[settings.index(setting)]
    biases = [n for n, w in weights(network, least_axes=0).items() if n not in books]
    books |= {n: SHARED[0] for n in biases if weights(network, least_axes=0)[n].numel() > SHARED[0]}
    books = {n: k for n, k in books.items() if weights(network, least_axes=0)[n].numel() > k}
    share_weights(network, books)
    train(network, 1)
    settle(network)
    for parameter in network.parameters():  # two bytes for a value instead of four
        short = parameter.data.half().float()
        parameter.data = short if short.isfinite().all() else parameter.data
    made, counts = _with_weights(model, network), kept(network).layers
    _calibrate(made, network, task)
    layers = {n: (*counts[n], len(w.unique())) for n, w in weights(network).items()}
    return Candidate(words, made, pack(made), untouched, layers)


def _learnable(network: OnnxNetwork) -> OnnxNetwork:
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return network


def _with_weights(model: "onnx.ModelProto", network: OnnxNetwork) -> "onnx.ModelProto":
    import onnx
    from onnx import numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(model)
    held = network.initializers()
    for tensor in made.graph.initializer:
        if tensor.name in held and tensor.data_type == onnx.TensorProto.FLOAT:
            array = held[tensor.name].numpy()
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return made


@torch.no_grad()
def _calibrate(model: "onnx.ModelProto", network: OnnxNetwork, task: Task) -> None:
    # Training has changed how sure the network is; the file's temperature is fitted again.
    from onnx import numpy_helper

    kind = task.schema.target.kind
    held = [t for t in model.graph.initializer if t.name == _TEMPERATURE and not t.dims]
    if kind not in ("class", "labels") or not held:
        return
    logits = torch.cat([network(x) for x, _ in task.calibration.batches(512)])
    fit_it = fit_temperature if kind == "class" else fit_temperature_labels
    factor = fit_it(logits, task.calibration.y)
    value = numpy_helper.to_array(held[0]) * np.float32(factor)
    held[0].CopyFrom(numpy_helper.from_array(np.asarray(value, np.float32), _TEMPERATURE))


def _trainer(
    task: Task, recipe: Recipe, budget: Budget, seed: int
) -> Callable[[nn.Module, float], None]:
    # The budget is shared out: three parts for each level, one for the first candidate.
    parts = 3 * len(_LEVELS) + 1
    number = iter(range(10**9))

    def train(network: nn.Module, share: float) -> None:
        steps = None if budget.steps is None else max(1, math.floor(budget.steps * share / parts))
        seconds = None if budget.seconds is None else budget.seconds * share / parts
        fit(
            network,
            task.train,
            task.validation,
            target=task.schema.target,
            recipe=recipe,
            steps=steps,
            seconds=seconds,
            seed=seed + next(number),
            device="cpu",
        )

    return train


def _keep(share: float) -> str:
    return f"keep {share:g}"


def _values(n: int) -> str:
    return f"{n} values"
