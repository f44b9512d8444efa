"""Train one candidate and measure it: the same function in this process and in a worker's."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netwright import _rng
from netwright._fidelity import reduced
from netwright._threads import threads_worth
from netwright.audits.uncertainty import fit_temperature, fit_temperature_labels
from netwright.data import Split, Task
from netwright.design import Candidate, Design, build_network, initialise
from netwright.finding import Measurement
from netwright.learn import Epoch, Recipe, fit, start_for_bounds
from netwright.learn._checkpoint import read_checkpoint
from netwright.measure import Subject, macs
from netwright.nn import Calibrated
from netwright.quantities import CATALOGUE
from netwright.requirement import Requirement

__all__ = ["Order", "Outcome", "calibrated", "evaluate", "prepare", "score"]

_FEWEST_ATTACKED = 100  # rows, of a candidate that is trained for a small share only


@dataclass(frozen=True, slots=True)
class Order:
    """A candidate to evaluate, as plain values that any process can be sent.

    Attributes:
        candidate: what to build, and how much of a training it gets.
        requirements: texts; those that need a trained network are measured.
        metric: the quantity that ranks networks.
        costs: what was measured before training; it joins the outcome.
        steps: optimiser steps; None when counted in seconds.
        seconds: wall clock of the training; None when counted in steps.
        left: wall clock that the whole search has left; with `seconds`, the smaller one counts.
        seed: of the whole job.
        device: what trains.
        folder: of the candidate, for checkpoints; used only where its parent exists, since a worker
            may run on a machine that does not see the run's folder.
    """

    candidate: Candidate
    requirements: tuple[str, ...]
    metric: str
    costs: Mapping[str, Measurement] = field(default_factory=dict)
    steps: int | None = None
    seconds: float | None = None
    left: float | None = None
    seed: int = 0
    device: str = "cpu"
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order.

    Attributes:
        measurements: on the validation split, by requirement text or quantity name.
        weights: the trained network's, as a safetensors file.
        epochs: of the training.
        steps: optimiser steps taken.
        seconds: for everything: building, training, measuring.
        measuring: seconds of those after the training.
        status: what ended the training, as in `Fitted.stopped`.
    """

    measurements: Mapping[str, Measurement]
    weights: bytes
    epochs: tuple[Epoch, ...]
    steps: int
    seconds: float
    measuring: float
    status: str


def evaluate(
    order: Order,
    task: Task,
    *,
    inherited: bytes | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Outcome:
    """Build a candidate, train it, and measure what its training decides.

    With a limit in steps the outcome depends on the arguments alone, as long as torch uses the same
    number of threads: networks whose step is small enough for one thread give the same bits in
    every process.

    Args:
        order: what to do.
        task: what is to be learned; its test split stays sealed. A candidate of low fidelity may
            see less of it: fewer rows, or smaller images.
        inherited: weights of the candidate's parent; None starts afresh.
        on_epoch: called after each epoch.

    Raises:
        ValueError: if the candidate is to see smaller images and its weights depend on their size.
    """
    from safetensors.torch import load, save

    began = time.monotonic()
    number, design = order.candidate.number, order.candidate.design
    whole = task.schema
    task = reduced(task, order.candidate, seed=order.seed)
    seed = _rng.child_seed(order.seed, f"design/{design.name}")
    network = build_network(design, task.schema, seed=seed)
    if order.candidate.is_shrunk:
        _require_any_size(network, build_network(design, whole, seed=seed), design)
    if inherited is None:
        bounds = _rng.child(order.seed, f"design/{design.name}/bounds")
        prepare(network, design.recipe, task.train, generator=bounds)
    else:
        network.load_state_dict(load(inherited))
    folder = Path(order.folder) if order.folder else None
    if folder is not None and not folder.parent.is_dir():
        folder = None
    one = macs(network, task.train.take([0])).macs
    with threads_worth(3 * one * design.recipe.batch_size):
        fitted = fit(
            network, task.train, task.validation, target=task.schema.target, recipe=design.recipe,
            seed=_rng.child_seed(order.seed, f"fit/{number}"), folder=folder, device=order.device,
            on_epoch=on_epoch, steps=order.steps, seconds=_seconds(order, folder),
        )  # fmt: skip
        trained = time.monotonic()
        state = network.state_dict()
        weights = save({n: t.detach().cpu().contiguous().clone() for n, t in state.items()})
        found = _measure(network, order, task)
    ended = time.monotonic()
    return Outcome(
        measurements=found,
        weights=weights,
        epochs=fitted.epochs,
        steps=fitted.steps,
        seconds=ended - began,
        measuring=ended - trained,
        status=fitted.stopped,
    )


def _require_any_size(small: nn.Module, whole: nn.Module, design: Design) -> None:
    shapes = [
        {name: tensor.shape for name, tensor in network.state_dict().items()}
        for network in (small, whole)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"Networks of family `{design.family}` ({design.name}) have weights for images of one "
            f'size alone, so that their `axis` cannot be "resolution"; take "rows" or "epochs".'
        )


def prepare(
    network: nn.Module, recipe: Recipe, train: Split, *, generator: torch.Generator
) -> None:
    """Set a fresh network from rows, and for proofs, before its first training.

    Args:
        network: of `build_network`; changed in place.
        recipe: of its training.
        train: rows.
        generator: draws weights where bounds are to stay tight.
    """
    if recipe.certified:
        start_for_bounds(network, generator=generator)
    initialise(network, train)


def score(network: nn.Module, task: Task, split: Split) -> Measurement:
    """Measure the task's own metric.

    Args:
        network: left in eval mode.
        task: whose metric it is.
        split: rows that judge.

    Returns:
        The metric with its interval, in its own unit.
    """
    quantity = CATALOGUE[task.schema.target.metric]
    return quantity.measure(Subject(task.schema, split, network.eval()))


def calibrated(network: nn.Module, task: Task) -> nn.Module:
    """Return the network as it is shipped: for classes and labels, with a fitted temperature.

    Args:
        network: trained, on the CPU; it is left as it was.
        task: supplies the calibration rows.

    Raises:
        ValueError: if the network's answers are not finite.
    """
    if task.schema.target.kind not in ("class", "labels"):
        return network.eval()
    logits = _answers(network, task)
    fit_it = fit_temperature if task.schema.target.kind == "class" else fit_temperature_labels
    return Calibrated(network, fit_it(logits, task.calibration.y)).eval()


@torch.no_grad()
def _answers(network: nn.Module, task: Task) -> torch.Tensor:
    return torch.cat([network(x) for x, _ in task.calibration.batches(512)])


def _seconds(order: Order, folder: Path | None) -> float | None:
    """Seconds for the training, those before a kill included, within what the search has left."""
    if order.seconds is None or order.left is None:
        return order.seconds
    used = 0.0
    if folder is not None:
        saved = read_checkpoint(folder)
        used = 0.0 if saved is None else float(saved.state["seconds"])
    return min(order.seconds, used + order.left)


def _measure(network: nn.Module, order: Order, task: Task) -> dict[str, Measurement]:
    requirements = [Requirement.parse(text) for text in order.requirements]
    wanted = [r for r in requirements if r.text not in order.costs]
    network.eval()
    # Calibration moves probabilities, never the predicted class. What diverged has none to move.
    if any(r.quantity != order.metric for r in wanted) and _answers(network, task).isfinite().all():
        network = calibrated(network, task)
    subject = Subject(
        schema=task.schema,
        split=task.validation,
        network=network,
        seed=_rng.child_seed(order.seed, "validation"),
    )
    found = {order.metric: CATALOGUE[order.metric].measure(subject), **order.costs}
    for requirement in wanted:
        quantity = CATALOGUE[requirement.quantity]
        found[requirement.text] = quantity.measure(
            subject, **_keywords(requirement, order.candidate.fidelity)
        )
    return found


def _keywords(requirement: Requirement, fidelity: float) -> dict[str, Any]:
    """Arguments of a measurement; attacks look at fewer rows of a network trained only a little."""
    found = requirement.keywords
    if CATALOGUE[requirement.quantity].needs == "attack" and "samples" in found:
        fewer = max(_FEWEST_ATTACKED, ceil(found["samples"] * fidelity))
        found["samples"] = min(found["samples"], fewer)
    return found
