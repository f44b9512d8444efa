"""How accuracy falls as an attacker may change every pixel a little more.

The largest radius is attacked first. What withstands it is not attacked at smaller ones: a change
that is small enough for those would have been allowed there too.
"""

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright import _rng
from netwright.audits._finding import not_applicable, outputs_trouble, shorten, span, timed
from netwright.audits._picture import contact_sheet
from netwright.audits.attack._ball import LinfBall
from netwright.audits.attack._fgsm import fgsm
from netwright.audits.attack._masking import Masking, gradient_masking
from netwright.audits.attack._outcome import gradient_of, margin
from netwright.audits.attack._strongest import ensemble, in_turn, most_passes
from netwright.finding import (
    Evidence,
    Finding,
    Lines,
    Measurement,
    Picture,
    Series,
    Table,
    format_value,
)
from netwright.measure import Subject, proportion

__all__ = ["robustness"]

_NAME, _TITLE = "robustness", "Small changes of the pixels"
_HOW = "ensemble of APGD, FAB and Square"
_LEVELS = 255
_CHUNK = 64  # rows attacked together, at most, where images are large or the time is short
_NUMBERS = 1 << 20  # of small images, so many pixels: a pass over few of them costs as much
_FEWEST = 8  # rows worth attacking
_CHECKED = 32  # rows on which the attack itself is checked
_MOST_SHOWN = 6


@dataclass(eq=False)
class _Attack:
    """What was tried so far: one row for each attacked row of the split."""

    places: Tensor
    clean: Tensor
    attacked: Tensor
    broken_at: (
        Tensor  # place in `radii` of what fools it; len(radii): nothing, -1: no attack needed
    )
    fgsm_right: Tensor  # (n, radii)


@timed
def robustness(
    subject: Subject,
    *,
    radii: Sequence[float] = (1 / 255, 2 / 255, 4 / 255, 8 / 255),
    n_rows: int = 256,
    n_steps: int = 20,
    n_restarts: int = 1,
    seconds: float = math.inf,
    generator: torch.Generator | None = None,
) -> Finding:
    """Attack a classifier of images by FGSM and by an ensemble of attacks, at several radii.

    The ensemble is that of `strongest`, whose second attack on what came closest is left to the
    requirement `robust`: APGD on two losses, FAB and Square. Gradients are those of
    `subject.network`; what counts is what `subject.predict`, the shipped artefact, says of the
    attacked image, rounded to real pixels. An image that withstands these attacks was not shown to
    be safe.

    Args:
        subject: a classifier and the rows to attack.
        radii: largest change of a pixel in each attack, increasing, for images in [0, 1].
        n_rows: rows attacked, drawn at random when the split has more.
        n_steps: gradient steps from each start.
        n_restarts: random starts of each member of the ensemble.
        seconds: aim to stop by then, checks on 32 rows excepted. Fewer rows are attacked when the
            time is short, none when by one timed gradient not even 8 would fit in.
        generator: draws rows and starts; None derives one from `subject.seed`.

    Returns:
        Accuracy under the ensemble at the largest radius; the curve over radii; clean and attacked
        images side by side; and the checks that decide whether the attack can be believed, which
        if failed make the measurement unresolved.

    Raises:
        ValueError: if `radii` is empty, not increasing or not positive, or a count is below 1.

    Cost: `most_passes` for each row that withstands the largest radius, and about a pass forward
    and back for each step that breaks others at other radii.
    """
    if not radii or any(b <= a for a, b in zip((0.0, *radii), radii, strict=False)):
        raise ValueError(f"`radii` must be positive and increasing, in [0, 1]; got {list(radii)}.")
    if n_rows < 1:
        raise ValueError(f"`n_rows` must be at least 1; got {n_rows}.")
    schema = subject.schema
    if schema.input.kind != "image":
        return not_applicable(_NAME, _TITLE, f"the input is a {schema.input.kind}, not an image")
    if schema.target.kind != "class":
        return not_applicable(_NAME, _TITLE, "the target is not one class")
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    if generator is None:
        generator = _rng.child(subject.seed, "audits/robustness")
    end = time.monotonic() + seconds
    places = torch.randperm(len(subject.split), generator=generator)[:n_rows]
    passes = most_passes(n_steps=n_steps, n_restarts=n_restarts)  # of a row that holds out
    together = _CHUNK
    if math.isinf(seconds):
        together = max(_CHUNK, _NUMBERS // math.prod(schema.input.shape))
    size = _affordable(subject, places[:_FEWEST], seconds, passes)
    if size < _FEWEST:
        reason = f"the attack on {_FEWEST} rows may take longer than {seconds:.3g} s"
        return Finding(_NAME, _TITLE, f"Not run: {reason}.")
    parts, done = [], 0
    while done < len(places) and (size >= _FEWEST or not parts):
        began = time.monotonic()
        chunk = places[done : done + min(size, together)]
        parts.append(_attack(subject, chunk, radii, n_steps, n_restarts, generator))
        done += len(chunk)
        each = (time.monotonic() - began) / len(chunk)
        size = size if math.isinf(end) else int((end - time.monotonic()) / each)
    masking = _checks(subject, radii[-1], n_steps, generator)
    return _finding(subject, _join(parts), radii, masking, f"{_HOW}, {n_steps} steps")


def _affordable(subject: Subject, places: Tensor, seconds: float, passes: int) -> int:
    """Guess how many rows can be attacked in time, by one gradient of a few of them."""
    if math.isinf(seconds):
        return len(subject.split)
    x, y = subject.split.take(places), subject.split.y[places]
    gradient_of(subject.network, x, y, margin)  # warm-up
    began = time.monotonic()
    gradient_of(subject.network, x, y, margin)
    return int(seconds * len(places) / ((time.monotonic() - began) * passes))


def _checks(subject: Subject, radius: float, n_steps: int, generator: torch.Generator) -> Masking:
    """Check the attack on rows that are classified rightly: only those can be attacked."""
    right = (subject.outputs.argmax(1) == subject.split.y).nonzero()[:, 0]
    places = right[torch.randperm(len(right), generator=generator)[:_CHECKED]]
    if not len(places):
        return Masking((), 0)
    x, y = subject.split.take(places), subject.split.y[places]
    settings = {"n_steps": n_steps, "levels": _LEVELS, "generator": generator}
    return gradient_masking(subject.network, x, y, ball=LinfBall(radius), **settings)


def _attack(
    subject: Subject,
    places: Tensor,
    radii: Sequence[float],
    n_steps: int,
    n_restarts: int,
    generator: torch.Generator,
) -> _Attack:
    network, run = subject.network, subject.predict or subject.network
    x, y = subject.split.take(places), subject.split.y[places]
    with torch.no_grad():
        standing = run(x).argmax(1) == y
    attacked = x.clone()
    broken_at = torch.where(standing, len(radii), -1)
    fgsm_right = torch.zeros(len(y), len(radii), dtype=torch.bool)
    for number in reversed(range(len(radii))):
        radius = radii[number]
        with torch.no_grad():
            single = fgsm(network, x, y, radius=radius, levels=_LEVELS).x
            fgsm_right[:, number] = run(single).argmax(1) == y
        by_one_step = standing & ~fgsm_right[:, number]
        attacked[by_one_step], broken_at[by_one_step] = single[by_one_step], number
        left = (broken_at == number + 1).nonzero()[:, 0]  # what only a larger radius broke, so far
        if not len(left):
            continue
        members = ensemble(LinfBall(radius), n_steps=n_steps, n_restarts=n_restarts)
        tried = in_turn(members, network, x[left], y[left], levels=_LEVELS, generator=generator)
        with torch.no_grad():
            fooled = run(tried.x).argmax(1) != y[left]
        attacked[left[fooled]], broken_at[left[fooled]] = tried.x[fooled], number
    return _Attack(places, x, attacked, broken_at, fgsm_right)


def _join(parts: list[_Attack]) -> _Attack:
    columns = ("places", "clean", "attacked", "broken_at", "fgsm_right")
    return _Attack(*(torch.cat([getattr(part, name) for part in parts]) for name in columns))


def _finding(
    subject: Subject, found: _Attack, radii: Sequence[float], masking: Masking, how: str
) -> Finding:
    n = len(found.places)
    clean = proportion(int((found.broken_at >= 0).sum()), n)
    by_ensemble = [proportion(int((found.broken_at > i).sum()), n) for i in range(len(radii))]
    by_fgsm = [proportion(int(found.fgsm_right[:, i].sum()), n) for i in range(len(radii))]
    rows = f"{n:,} of {len(subject.split):,} rows"
    last = by_ensemble[-1]
    measured = proportion(
        last.successes or 0, n, note=f"linf radius {_levels(radii[-1])}, {how}, {rows}"
    )
    summary = (
        f"Accuracy falls from {format_value(clean.value)} to {span(measured)} when every pixel may "
        f"change by {_levels(radii[-1])} ({rows}, {how})."
    )
    if masking.reason:
        summary += " The attack cannot be believed here, so the true accuracy may be far lower."
        measured = dataclasses.replace(measured, unresolved=masking.reason)
    evidence: list[Evidence] = [_curve(clean, by_fgsm, by_ensemble, radii)]
    if (shown := _pictures(subject, found, radii)) is not None:
        evidence.append(shown)
    evidence += [_table(clean, by_fgsm, by_ensemble, radii), _ladder(masking)]
    return Finding(_NAME, _TITLE, summary, measurement=measured, evidence=tuple(evidence))


def _levels(radius: float) -> str:
    return f"{radius * _LEVELS:.3g}/255"


def _curve(
    clean: Measurement,
    by_fgsm: list[Measurement],
    by_ensemble: list[Measurement],
    radii: Sequence[float],
) -> Lines:
    x = (0.0, *(radius * _LEVELS for radius in radii))

    def series(name: str, measured: list[Measurement]) -> Series:
        points = [clean, *measured]
        return Series(name, x, tuple(m.value for m in points), tuple(span(m) for m in points))

    return Lines(
        title="Accuracy under attack",
        x_label="largest change of a pixel, in steps of 1/255",
        y_label="accuracy",
        series=(
            series("FGSM (one step)", by_fgsm),
            series("ensemble (APGD, FAB, Square)", by_ensemble),
        ),
    )


def _table(
    clean: Measurement,
    by_fgsm: list[Measurement],
    by_ensemble: list[Measurement],
    radii: Sequence[float],
) -> Table:
    rows = [("none", "0", clean.value, clean.low, clean.high, clean.n)]
    for name, measured in (("FGSM", by_fgsm), ("ensemble", by_ensemble)):
        for radius, m in zip(radii, measured, strict=True):
            rows.append((name, _levels(radius), m.value, m.low, m.high, m.n))
    columns = ("attack", "radius", "accuracy", "low", "high", "rows")
    return Table("Accuracy under attack, with 95 % intervals", columns, tuple(rows))


def _ladder(masking: Masking) -> Table:
    rows = tuple(
        (r.name, r.value, r.bar, "passed" if r.passed else "failed") for r in masking.rungs
    )
    columns = ("what must hold", "share of rows against it", "largest share allowed", "result")
    return Table(f"Can the attack be believed? Checks on {masking.n} rows", columns, rows)


def _pictures(subject: Subject, found: _Attack, radii: Sequence[float]) -> Picture | None:
    fooled = ((found.broken_at >= 0) & (found.broken_at < len(radii))).nonzero()[:, 0]
    if not len(fooled):
        return None
    run = subject.predict or subject.network
    with torch.no_grad():
        sure = run(found.clean[fooled]).float().softmax(1).amax(1)
    # The most telling: the smallest changes, and of those the answers that seemed surest.
    order = (found.broken_at[fooled] - sure).argsort(stable=True)
    shown = fooled[order[:_MOST_SHOWN]]
    clean, attacked = found.clean[shown], found.attacked[shown]
    with torch.no_grad():
        before, after = run(clean).float().softmax(1), run(attacked).float().softmax(1)
    classes = subject.schema.target.classes
    images, captions = [], []
    for i, at in enumerate(found.broken_at[shown].tolist()):
        radius = radii[at]
        change = 0.5 + (attacked[i] - clean[i]) / (2 * radius)  # grey: unchanged
        images += [clean[i], attacked[i], change]
        captions += [
            ("clean", *_answer(before[i], classes)),
            (f"attacked, {_levels(radius)}", *_answer(after[i], classes)),
            ("the change,", f"enlarged {0.5 / radius:.0f} times"),
        ]
    return contact_sheet(
        torch.stack(images),
        captions,
        title="Clean and attacked images side by side",
        alt=f"{len(shown)} images, each clean, attacked so that the network takes it for another "
        f"class, and the change between them, enlarged; to the eye clean and attacked look alike.",
    )


def _answer(probabilities: Tensor, classes: tuple[str, ...]) -> tuple[str, str]:
    best = int(probabilities.argmax())
    return f"read as {shorten(classes[best], 20)}", f"p = {probabilities[best].item():.2f}"
