"""Where and by how much predicted values miss the truth."""

import torch
from jaxtyping import Float
from torch import Tensor

from netwright import _rng
from netwright.audits._finding import not_applicable, outputs_trouble, shorten, timed
from netwright.finding import Bars, Evidence, Finding, Points, Series
from netwright.measure import Subject

__all__ = ["residuals"]

_NAME, _TITLE = "residuals", "Predicted against true values"
_MOST_POINTS = 400  # a chart with titles for more would make the report heavy
_MOST_VALUES = 6
_N_BARS = 21


@timed
def residuals(subject: Subject, *, generator: torch.Generator | None = None) -> Finding:
    """Draw predicted against true values, and how the differences are distributed.

    Args:
        subject: a network that predicts values, and the rows to look at.
        generator: draws the rows that are drawn when there are more than 400; None derives one from
            `subject.seed`.

    Returns:
        For each value (the first six) a scatter chart and a histogram of predicted minus true,
        whose first and last bar hold everything beyond; and how much of it is one-sided.
    """
    target = subject.schema.target
    if target.kind not in ("value", "values"):
        return not_applicable(_NAME, _TITLE, "the target is a class, not a value")
    if trouble := outputs_trouble(subject):
        return not_applicable(_NAME, _TITLE, trouble)
    if generator is None:
        generator = _rng.child(subject.seed, "audits/residuals")
    n = len(subject.split)
    drawn = torch.randperm(n, generator=generator)[:_MOST_POINTS].sort().values
    evidence: list[Evidence] = []
    for i, name in enumerate(target.names[:_MOST_VALUES]):
        true, said = subject.split.y[:, i], subject.outputs[:, i]
        evidence += [_scatter(name, true[drawn], said[drawn], n), _histogram(name, said - true)]
    off = (subject.outputs - subject.split.y).double()
    high = (off > 0).double().mean(0)
    share = ", ".join(
        f"{name} {rate:.0%}" for name, rate in zip(target.names, high.tolist(), strict=True)
    )
    bias = ", ".join(f"{b:+.3g}" for b in off.mean(0).tolist())
    summary = f"Rows predicted too high: {shorten(share, 200)}; mean difference {bias}."
    return Finding(_NAME, _TITLE, summary, evidence=tuple(evidence))


def _scatter(name: str, true: Float[Tensor, "n"], said: Float[Tensor, "n"], n: int) -> Points:
    shown = "" if len(true) == n else f", {len(true)} of {n:,} rows"
    x, y = (tuple(float(f"{v:.5g}") for v in values.tolist()) for values in (true, said))
    return Points(
        title=f"{name}: predicted against true{shown}; on the diagonal they agree",
        x_label=f"true {name}",
        y_label=f"predicted {name}",
        series=(Series("rows", x, y),),
        diagonal=True,
    )


def _histogram(name: str, off: Float[Tensor, "n"]) -> Bars:
    off = off.double()
    # A few wild rows must not squeeze the rest into one bar.
    reach = torch.quantile(off.abs(), 0.99).item() or 1.0
    edges = torch.linspace(-reach, reach, _N_BARS + 1, dtype=off.dtype)
    place = torch.bucketize(off, edges[1:-1])
    counts = torch.bincount(place, minlength=_N_BARS)
    step = 2 * reach / _N_BARS
    labels = [f"{a:.3g} to {b:.3g}" for a, b in zip(edges[:-1], edges[1:], strict=True)]
    labels[0], labels[-1] = f"up to {edges[1]:.3g}", f"{edges[-2]:.3g} and more"
    counted = tuple(map(float, counts.tolist()))
    hover = tuple(f"{t}: {c:.0f} rows" for t, c in zip(labels, counted, strict=True))
    names = tuple(f"{(i - _N_BARS // 2) * step:.3g}" for i in range(_N_BARS))
    return Bars(
        title=f"{name}: predicted minus true",
        x_label=f"predicted minus true {name} (middle of the bin)",
        y_label="rows",
        series=(Series("rows", names, counted, hover),),
    )
