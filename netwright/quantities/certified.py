"""Certified accuracy: rows that are right, and that no small change of the image can make wrong."""

from collections.abc import Mapping
from typing import Any

import torch

from netwright import _rng
from netwright.data import Schema
from netwright.finding import Measurement
from netwright.measure import Subject, proportion, trouble, unresolved
from netwright.requirement import Argument, Quantity

__all__ = ["QUANTITIES"]

_TOGETHER = 8  # rows bounded at once
_DEAR = 200  # rows that intervals alone do not certify, after which no more are looked at
_PROBES = 8  # random corners that every certified row is tried on


def check(arguments: Mapping[str, Any], schema: Schema | None) -> None:
    """Refuse what cannot be measured.

    Args:
        arguments: as given in the requirement.
        schema: of the task, once it is known.

    Raises:
        ValueError: if the input is not an image.
    """
    if schema is not None and schema.input.kind != "image":
        raise ValueError(
            f"`certified` bounds changes of pixels; the input of this task is a "
            f"{schema.input.kind}."
        )


def measure(subject: Subject, *, linf: float, samples: int = 1000) -> Measurement:
    """Measure the share of rows that are right, and provably stay right within a distance.

    Linear bounds are propagated through the shipped file's graph (a candidate's as it would be
    shipped), with rounding counted, for the precision in which the file is executed. They say
    nothing about a row that they do not certify: the share of rows that no attack can break is at
    least the measured one.

    Args:
        subject: a classifier of images.
        linf: largest change of a pixel, for images in [0, 1].
        samples: rows that are bounded, drawn at random if the split has more; fewer, once intervals
            alone have left 200 open, for what is done for those takes long.

    Returns:
        The measurement; unresolved if the file holds operations that cannot be bounded.

    Raises:
        ValueError: if the input is not an image.
        RuntimeError: if a certified row can be broken: a fault of the bounds.
    """
    from netwright.artefact import to_onnx
    from netwright.audits.verify import NetworkError, certify_ball, read_bounded

    check({"linf": linf}, subject.schema)
    n = len(subject.split)
    if reason := trouble(subject.outputs, subject.split.y):
        return unresolved(n, reason)
    try:
        sample = subject.split.take([0])
        file = subject.artefact or to_onnx(subject.network, subject.schema, sample=sample)
        program = read_bounded(file)
    except NetworkError as error:
        return unresolved(n, str(error))
    generator = _rng.child(subject.seed, "quantities/certified")
    places = torch.randperm(n, generator=generator)[:samples]
    run = subject.predict or subject.network
    standing = dear = looked_at = 0
    for chunk in places.split(_TOGETHER):
        if dear >= _DEAR:
            break
        looked_at += len(chunk)
        x, y = subject.split.take(chunk), subject.split.y[chunk]
        right = subject.outputs[chunk].argmax(1) == y
        x, y = x[right], y[right]
        if not len(x):
            continue
        found = certify_ball(program, x, y, linf=linf)
        holds = found.holds
        dear += sum(method != "intervals" for method in found.method)
        for _ in range(_PROBES):
            corner = torch.randint(0, 2, x.shape, generator=generator, dtype=x.dtype) * 2 - 1
            with torch.no_grad():
                kept = run((x + linf * corner).clamp(0, 1)).argmax(1) == y
            if not kept[holds].all():
                raise RuntimeError(
                    "A row that was certified can be broken. This is a fault of the bounds; please "
                    "report the network."
                )
        standing += int(holds.sum())
    note = f"bounds on {looked_at:,} of {n:,} rows; tighter ones may certify more"
    return proportion(standing, looked_at, note=note)


QUANTITIES = (
    Quantity(
        name="certified",
        summary="share of images that are right and provably stay right under any change of pixels",
        dimension="ratio",
        better="higher",
        measure=measure,
        shows_learning=True,
        check=check,
        arguments=(
            Argument(
                "linf", float, "largest change of a pixel, images in [0, 1]", required=True, least=0
            ),
            Argument("samples", int, "rows that are bounded, at most", default=1000, least=1),
        ),
        targets=("class",),
        needs="attack",
    ),
)
