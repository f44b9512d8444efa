"""Robustness: accuracy when an attacker may change every image a little."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from netwright import _rng
from netwright.data import Schema
from netwright.finding import Measurement
from netwright.measure import Subject, proportion, trouble, unresolved
from netwright.requirement import Argument, Quantity

__all__ = ["QUANTITIES"]

_LEVELS = 255  # pixels of one byte
_CHECKED = 100  # rows on which the attack itself is checked
_TOGETHER = 64  # rows attacked at once


def check(arguments: Mapping[str, Any], schema: Schema | None) -> None:
    """Refuse what cannot be measured.

    Args:
        arguments: as given in the requirement.
        schema: of the task, once it is known.

    Raises:
        ValueError: if not exactly one of `linf` and `l2` is given, or the input is not an image.
    """
    if ("linf" in arguments) == ("l2" in arguments):
        raise ValueError(
            "`robust` takes either `linf` (largest change of a pixel) or `l2` (length of the whole "
            "change), for images in [0, 1]: for example `robust(linf=4/255) >= 0.5`."
        )
    if schema is not None and schema.input.kind != "image":
        raise ValueError(
            f"`robust` attacks pixels; the input of this task is a {schema.input.kind}."
        )


def measure(
    subject: Subject,
    *,
    linf: float | None = None,
    l2: float | None = None,
    steps: int = 20,
    restarts: int = 1,
    samples: int = 1000,
) -> Measurement:
    """Measure the share of rows that are right, and stay right under attack.

    The attack is the ensemble of `audits.attack.strongest`: APGD on the cross-entropy, APGD towards
    the likeliest other classes, FAB, and Square. It follows the gradients of `subject.network`;
    what counts is what `subject.predict` says of real pixels inside the ball. An attack that finds
    nothing proves nothing: the true robust accuracy is at most the measured one.

    Args:
        subject: a classifier of images.
        linf: largest change of a pixel, for images in [0, 1].
        l2: largest Euclidean length of the whole change, for images in [0, 1].
        steps: gradient steps from each start.
        restarts: random starts of each member of the ensemble.
        samples: rows that are attacked, drawn at random if the split has more.

    Returns:
        The measurement; unresolved if the checks on the attack say that gradients are masked.

    Raises:
        ValueError: if not exactly one of `linf` and `l2` is given, or the input is not an image.
    """
    from netwright.audits.attack import L2Ball, LinfBall, gradient_masking, strongest

    given = {"linf": linf, "l2": l2}
    check({name: radius for name, radius in given.items() if radius is not None}, subject.schema)
    ball = LinfBall(linf) if linf is not None else L2Ball(l2 or 0.0)
    n = len(subject.split)
    if reason := trouble(subject.outputs, subject.split.y):
        return unresolved(n, reason)
    generator = _rng.child(subject.seed, "quantities/robust")
    places = torch.randperm(n, generator=generator)[:samples]
    run = subject.predict or subject.network
    standing = 0
    for chunk in places.split(_TOGETHER):
        x, y = subject.split.take(chunk), subject.split.y[chunk]
        right = subject.outputs[chunk].argmax(1) == y
        x, y = x[right], y[right]
        if len(x):
            attacked = strongest(
                subject.network,
                x,
                y,
                ball=ball,
                n_steps=steps,
                n_restarts=restarts,
                levels=_LEVELS,
                generator=generator,
            )
            with torch.no_grad():
                standing += int((run(attacked.x).argmax(1) == y).sum())
    checked = places[:_CHECKED]
    masked = (
        gradient_masking(
            subject.network,
            subject.split.take(checked),
            subject.split.y[checked],
            ball=ball,
            n_steps=steps,
            levels=_LEVELS,
            generator=generator,
        ).reason
        if ball.radius
        else ""
    )
    note = f"APGD, FAB and Square, {steps} steps, {restarts} restarts, "
    note += f"on {len(places):,} of {n:,} rows; "
    note += "a stronger attack may find more"
    return dataclasses.replace(proportion(standing, len(places), note=note), unresolved=masked)


QUANTITIES = (
    Quantity(
        name="robust",
        summary="share of images that are right and stay right under an ensemble of attacks",
        dimension="ratio",
        better="higher",
        measure=measure,
        shows_learning=True,
        check=check,
        arguments=(
            Argument("linf", float, "largest change of a pixel, images in [0, 1]", least=0),
            Argument("l2", float, "largest length of the change, images in [0, 1]", least=0),
            Argument("steps", int, "gradient steps from each start", default=20, least=1),
            Argument("restarts", int, "random starts of each attack", default=1, least=1),
            Argument("samples", int, "rows that are attacked, at most", default=1000, least=1),
        ),
        targets=("class",),
        needs="attack",
    ),
)
