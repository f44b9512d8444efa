import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch

from netwright.measure import mae, r2, rmse

PEERS = {
    rmse: sklearn.metrics.root_mean_squared_error,
    mae: sklearn.metrics.mean_absolute_error,
    r2: sklearn.metrics.r2_score,
}


@pytest.mark.oracle
@pytest.mark.parametrize("measure", PEERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("offset", [0.0, 1e4])  # far from zero, squares cancel
def test_values_match_scikit_learn(measure, columns, offset, generator):
    y = offset + torch.randn(120, columns, generator=generator, dtype=torch.double)
    values = y + 0.5 * torch.randn(120, columns, generator=generator, dtype=torch.double)
    found = measure(values, y, generator=generator)
    assert found.value == pytest.approx(PEERS[measure](y, values), abs=1e-9)
    assert found.low < found.value < found.high
    assert found.unit == ("" if measure is r2 else "target")
    assert found.note == ("mean over 3 columns" if columns == 3 else "")


@pytest.mark.oracle
def test_r2_of_a_resample_has_the_resamples_own_mean(generator):
    y = torch.randn(12, 1, generator=generator, dtype=torch.double)
    values = y + 0.7 * torch.randn(12, 1, generator=generator, dtype=torch.double)
    found = r2(values, y, generator=generator)

    def peer(a, b, axis):
        a, b = torch.tensor(a), torch.tensor(b)
        total = ((b - b.mean(axis, keepdim=True)) ** 2).sum(axis)
        return (1 - ((a - b) ** 2).sum(axis) / total).numpy()

    truth = scipy.stats.bootstrap(
        (values[:, 0].numpy(), y[:, 0].numpy()),
        peer,
        paired=True,
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    # Ends of 4000 resamples err by some 4 % of the standard error, which is a quarter of the width.
    slack = 3 * 0.04 * (truth.high - truth.low) / 4 * 1.5  # the lower tail is long
    assert (found.low, found.high) == pytest.approx((truth.low, truth.high), abs=slack)


def test_a_constant_target_has_no_r2():
    found = r2(torch.randn(20, 1, generator=torch.Generator()), torch.full((20, 1), 7.0))
    assert found.unresolved == "1 target columns are constant on these rows: R2 is undefined."


@pytest.mark.parametrize("measure", PEERS, ids=lambda f: f.__name__)
def test_outputs_that_are_not_finite_make_no_number(measure):
    found = measure(torch.full((20, 1), math.nan), torch.arange(20.0)[:, None])
    assert "not finite on 20 of 20 rows" in found.unresolved


@pytest.mark.parametrize("measure", PEERS, ids=lambda f: f.__name__)
def test_no_rows_is_an_error(measure):
    with pytest.raises(ValueError, match="at least one row"):
        measure(torch.zeros(0, 1), torch.zeros(0, 1))


@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
def test_coverage_is_as_promised(runs, generator):
    # Errors N(0, 1) on targets N(0, 2): RMSE 1, MAE sqrt(2 / pi), R2 3/4.
    truths = {rmse: 1.0, mae: math.sqrt(2 / math.pi), r2: 0.75}
    covered = dict.fromkeys(truths, 0)
    for _ in range(runs):
        y = 2 * torch.randn(150, 1, generator=generator)
        values = y + torch.randn(150, 1, generator=generator)
        for measure, truth in truths.items():
            found = measure(values, y, generator=generator)
            covered[measure] += found.low <= truth <= found.high
    least = 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5
    assert {f.__name__: k / runs for f, k in covered.items() if k / runs < least} == {}
