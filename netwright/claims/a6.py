"""A6: a small build, stage by stage, each of which leaves a picture that a person can read."""

import base64
import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from netwright import _rng
from netwright.audits._picture import contact_sheet
from netwright.audits.attack import robustness
from netwright.audits.quality import confusion, data_summary, worst_errors
from netwright.audits.uncertainty import calibration
from netwright.data import Task, load
from netwright.design import build_network, portfolio
from netwright.finding import (
    Evidence,
    Finding,
    Heatmap,
    Judgement,
    Lines,
    Measurement,
    Picture,
    Series,
    Table,
)
from netwright.learn import Fitted, _augment, fit
from netwright.measure import Subject

__all__ = ["BAR", "ID", "TITLE", "run"]

ID = "A6"
TITLE = "Visualise every step: samples, augmentations, filters, curves, errors, confusion"
BAR = "every stage leaves a picture that holds what it should: none is empty, flat or stale"
_AUGMENTATIONS = ("shift", "rotate_scale", "flip", "cutout", "noise")
_KEEPS_DIGITS = ("shift", "rotate_scale", "noise")  # a mirrored 2 is no digit
_LEAST_KEPT = 0.8


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stage's picture, and whether it holds what it should."""

    name: str
    evidence: Evidence
    shows: str
    passed: bool


def run(*, full: bool, seed: int) -> Finding:
    """Build a small network for digits, collect a picture at each stage, and check each picture.

    Args:
        full: train longer.
        seed: of data, weights, training and samples.

    Returns:
        How many stages left a good picture; the pictures; a table of what was checked.
    """
    began = time.monotonic()
    task = load("digits", seed=seed)
    design = portfolio(task.schema, len(task.train))[2]
    network = build_network(design, task.schema, seed=_rng.child_seed(seed, "weights"))
    before = _first_filters(network).clone()
    fitted = fit(
        network,
        task.train,
        task.validation,
        target=task.schema.target,
        recipe=design.recipe,
        steps=1500 if full else 300,
        seed=seed,
        device="cpu",
    )
    subject = Subject(task.schema, task.test.open(f"claim {ID}"), fitted.network, seed=seed)
    stages = (
        _samples(task),
        _augmentations(task, fitted.network, _rng.child(seed, "augmentations")),
        _filters(before, _first_filters(fitted.network)),
        _curves(fitted),
        *_errors(subject),
        _attack(subject),
    )
    good = sum(stage.passed for stage in stages)
    rows = tuple((s.name, s.shows, "yes" if s.passed else "no") for s in stages)
    table = Table("What was checked", ("stage", "what its picture shows", "as it should"), rows)
    poor = ", ".join(s.name for s in stages if not s.passed)
    summary = f"{good} of {len(stages)} stages leave a picture that holds what it should" + (
        f"; not: {poor}." if poor else "."
    )
    return Finding(
        name=f"claim/{ID}",
        title=TITLE,
        summary=summary,
        measurement=Measurement(good, good, good, len(stages), note="stages with a good picture"),
        requirement=BAR,
        judgement=Judgement("broken" if poor else "met", summary),
        evidence=(table, *(stage.evidence for stage in stages)),
        seconds=time.monotonic() - began,
    )


def _samples(task: Task) -> _Stage:
    picture = _picture_of(data_summary(task).evidence)
    n = len(task.train)
    return _Stage("samples", picture, f"training images out of {n:,}, by class", _drawn(picture))


def _augmentations(task: Task, network: nn.Module, generator: torch.Generator) -> _Stage:
    n = 5
    clean = task.train.take(torch.arange(n))
    many, y = task.train.take(torch.arange(200)), task.train.y[:200]
    images, captions = list(clean), [("as loaded",)] * n
    moved, kept = True, 1.0
    for name in _AUGMENTATIONS:
        change = getattr(_augment, name)
        images += list(change(clean, generator=generator))
        captions += [(name,)] * n
        changed = change(many, generator=generator)
        moved &= not torch.equal(changed, many) and changed.shape == many.shape
        if name in _KEEPS_DIGITS:
            with torch.no_grad():
                right = (network(changed).argmax(1) == y).float().mean().item()
            kept = min(kept, right)
    picture = contact_sheet(
        torch.stack(images),
        captions,
        title="Augmentations, one a row",
        alt=f"Five training images as loaded, then changed by {', '.join(_AUGMENTATIONS)}.",
        columns=n,
        side=84,
    )
    shows = (
        f"every augmentation changes images; {kept:.0%} at least keep their class for the network"
    )
    return _Stage(
        "augmentations", picture, shows, _drawn(picture) and moved and kept >= _LEAST_KEPT
    )


def _filters(before: Tensor, after: Tensor) -> _Stage:
    learned = ((after - before).norm() / before.norm()).item()
    shown = after.mean(1, keepdim=True)[:36]  # (filters, 1, height, width)
    reach = shown.abs().amax()
    picture = contact_sheet(
        0.5 + shown / (2 * reach),
        [(f"filter {i + 1}",) for i in range(len(shown))],
        title="Filters of the first layer; grey is zero, white excites, black inhibits",
        alt=f"{len(shown)} filters of {after.shape[2]} by {after.shape[3]} weights after training.",
        side=72,
    )
    shows = f"{len(shown)} filters; training moved the weights by {learned:.0%} of their length"
    return _Stage("filters", picture, shows, _drawn(picture) and learned > 0.05)


def _curves(fitted: Fitted) -> _Stage:
    steps = tuple(float(e.step) for e in fitted.epochs)
    chart = Lines(
        title="Training curves",
        x_label="optimiser step",
        y_label="loss, nats an example",
        series=(
            Series(
                "training, with augmentation", steps, tuple(e.train_loss for e in fitted.epochs)
            ),
            Series("validation", steps, tuple(e.validation_loss for e in fitted.epochs)),
        ),
    )
    first, last = fitted.epochs[0].validation_loss, fitted.epochs[-1].validation_loss
    shows = f"{len(steps)} points; validation loss falls from {first:.3f} to {last:.3f}"
    return _Stage("curves", chart, shows, len(steps) >= 3 and _varied(chart) and last < first)


def _errors(subject: Subject) -> tuple[_Stage, ...]:
    found = worst_errors(subject)
    wrong = int((subject.outputs.argmax(1) != subject.split.y).sum())
    picture = _picture_of(found.evidence)
    rows = next(e for e in found.evidence if isinstance(e, Table)).rows
    honest = 0 < len(rows) <= wrong and all(row[1] != row[2] for row in rows)
    errors = _Stage(
        "errors", picture, f"the {len(rows)} worst of {wrong} mistakes", honest and _drawn(picture)
    )
    matrix = next(e for e in confusion(subject).evidence if isinstance(e, Heatmap))
    total = sum(map(sum, matrix.values))
    off = total - sum(row[i] for i, row in enumerate(matrix.values))
    table = _Stage(
        "confusion",
        matrix,
        f"{total:,.0f} rows, {off:,.0f} of them off the diagonal",
        total == len(subject.split) and off == wrong,
    )
    diagram = next(e for e in calibration(subject).evidence if isinstance(e, Lines))
    shows = f"confidence against accuracy in {len(diagram.series[0].x)} bins"
    return errors, table, _Stage("calibration", diagram, shows, _varied(diagram))


def _attack(subject: Subject) -> _Stage:
    found = robustness(subject, radii=(8 / 255, 16 / 255), n_rows=64)
    picture = _picture_of(found.evidence)
    return _Stage("attack", picture, "clean and attacked images side by side", _drawn(picture))


def _first_filters(network: nn.Module) -> Tensor:
    """Return the weights of the first convolution that looks at more than one pixel."""
    layers = (m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size > (1, 1))
    return next(layers).weight.detach()


def _picture_of(evidence: Sequence[Evidence]) -> Picture:
    return next(e for e in evidence if isinstance(e, Picture))


def _drawn(picture: Picture) -> bool:
    """Say whether a picture can be decoded, has contrast, some size, and words beside it."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.png))).convert("L"))
    large = min(pixels.shape) >= 80 and max(pixels.shape) >= 200
    contrast = len(np.unique(pixels)) >= 8 and float(pixels.std()) > 10
    return large and contrast and len(picture.alt.split()) >= 5


def _varied(chart: Lines) -> bool:
    return all(
        len(s.y) == len(s.x) and all(map(math.isfinite, s.y)) and len(set(s.y)) > 1
        for s in chart.series
    )
