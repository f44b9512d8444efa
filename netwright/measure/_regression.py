"""How far predicted values lie from the truth.

With several values every measure is the mean over columns of the column's own measure, as in
scikit-learn's `uniform_average`; columns in different units make that mean hard to read.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from netwright.finding import Measurement
from netwright.measure._bootstrap import bootstrap
from netwright.measure._unresolved import trouble, unresolved

__all__ = ["mae", "r2", "rmse"]


def rmse(
    values: Float[Tensor, "n columns"],
    y: Float[Tensor, "n columns"],
    *,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the root of the mean squared error, in the target's units.

    Args:
        values: predictions.
        y: truth.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Raises:
        ValueError: if there are no rows.

    Example:
        >>> found = rmse(torch.zeros(20, 1), torch.full((20, 1), 3.0))
        >>> found.value, found.unit
        (3.0, 'target')
    """
    errors = (values.double() - y.double()) ** 2
    return _measure(values, y, errors, _root_mean, confidence, generator, "target")


def mae(
    values: Float[Tensor, "n columns"],
    y: Float[Tensor, "n columns"],
    *,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the mean absolute error, in the target's units.

    Args:
        values: predictions.
        y: truth.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Raises:
        ValueError: if there are no rows.
    """
    errors = (values.double() - y.double()).abs()
    return _measure(values, y, errors, _plain_mean, confidence, generator, "target")


def r2(
    values: Float[Tensor, "n columns"],
    y: Float[Tensor, "n columns"],
    *,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> Measurement:
    """Measure the share of the target's variance that is explained; below 0 if worse than the mean.

    Args:
        values: predictions.
        y: truth; its variance is that of these rows.
        confidence: probability that the interval covers the truth.
        generator: draws the bootstrap's resamples; torch's global one if None.

    Returns:
        The measurement; unresolved if a column of `y` is constant.

    Raises:
        ValueError: if there are no rows.
    """
    centred = y.double() - y.double().mean(0)  # keeps y**2 - mean**2 from cancelling
    constant = int((centred == 0).all(0).sum())
    if len(y) and constant:
        reason = f"{constant} target columns are constant on these rows: R2 is undefined."
        return unresolved(len(y), reason, confidence)
    features = torch.cat([(values.double() - y.double()) ** 2, centred**2, centred], dim=1)
    return _measure(values, y, features, _explained, confidence, generator, "")


def _measure(
    values: Tensor,
    y: Tensor,
    features: Float[Tensor, "n features"],
    statistic: Callable[[Tensor], Tensor],
    confidence: float,
    generator: torch.Generator | None,
    unit: str,
) -> Measurement:
    if reason := trouble(values, y):
        return unresolved(len(y), reason, confidence, unit)
    columns = y.shape[1]
    return bootstrap(
        features,
        statistic,
        confidence=confidence,
        generator=generator,
        unit=unit,
        note=f"mean over {columns} columns" if columns > 1 else "",
    )


def _root_mean(mean: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch"]:
    return mean.clamp_min(0).sqrt().mean(-1)


def _plain_mean(mean: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch"]:
    return mean.mean(-1)


def _explained(mean: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch"]:
    residual, square, centre = mean.unflatten(-1, (3, -1)).unbind(-2)  # (*batch, columns)
    variance = square - centre**2
    return torch.where(variance > 0, 1 - residual / variance, torch.nan).mean(-1)
