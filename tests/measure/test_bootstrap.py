import math

import numpy as np
import pytest
import scipy.stats
import torch

from netwright.measure import bootstrap, resampled_means


def mean(means):
    return means[..., 0]


def exponential(shape, generator):
    return -torch.rand(shape, generator=generator, dtype=torch.double).log()


@pytest.mark.oracle
@pytest.mark.parametrize("statistic", [mean, lambda m: m[..., 0].sqrt(), lambda m: m[..., 0].log()])
@pytest.mark.parametrize("n", [12, 200])  # few rows: correction and acceleration are large
def test_bca_matches_scipy(statistic, n, generator):
    losses = exponential((n, 1), generator)
    found = bootstrap(losses, statistic, n_resamples=20_000, generator=generator)
    truth = scipy.stats.bootstrap(
        (losses[:, 0].numpy(),),
        lambda sample, axis: statistic(torch.tensor(sample.mean(axis))[..., None]).numpy(),
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    )
    low, high = truth.confidence_interval
    # Ends of 20,000 resamples have an error of 1.7 % of the standard error; two of them, 3 times.
    slack = 3 * 1.5 * 0.017 * truth.standard_error
    assert (found.low, found.high) == pytest.approx((low, high), abs=slack)


@pytest.mark.oracle
@pytest.mark.parametrize("copies", [1, 40])  # many kinds, drawn row by row, or few: multinomial
def test_examples_of_a_kind_resample_like_rows(copies, generator):
    rows = torch.rand(500 // copies, 1, generator=generator, dtype=torch.double)
    kind = torch.randint(len(rows), (500,), generator=generator)
    by_kind = bootstrap(rows, mean, kind=kind, n_resamples=20_000, generator=generator)
    by_row = bootstrap(rows[kind], mean, n_resamples=20_000, generator=generator)
    assert by_kind.value == pytest.approx(by_row.value, abs=1e-12)
    slack = 3 * 1.5 * 0.017 * (by_row.high - by_row.low) / 4  # as above
    assert (by_kind.low, by_kind.high) == pytest.approx((by_row.low, by_row.high), abs=slack)


def test_resampled_means_have_the_right_spread(generator):
    rows = torch.randn(400, 2, generator=generator, dtype=torch.double)
    means = resampled_means(rows, n_resamples=5000, generator=generator)
    assert means.shape == (5000, 2)
    expected = rows.std(0, correction=0) / math.sqrt(400)
    # A standard deviation of 5000 draws has a standard error of 1 %.
    assert means.std(0) / expected == pytest.approx(torch.ones(2), abs=0.03)


def test_blocks_of_resamples_change_nothing(generator, monkeypatch):
    rows = torch.randn(50, 1, generator=generator)
    state = generator.get_state()
    whole = resampled_means(rows, n_resamples=300, generator=generator)
    monkeypatch.setattr("netwright.measure._bootstrap._BLOCK", 50 * 7)
    generator.set_state(state)
    parts = resampled_means(rows, n_resamples=300, generator=generator)
    # The same draws; products of other shapes may add up in another order.
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


def test_same_generator_same_interval(generator):
    losses = exponential((50, 1), generator)
    pair = [bootstrap(losses, mean, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert pair[0] == pair[1]


@pytest.mark.parametrize("n", [1, 9])
def test_a_handful_of_rows_is_unresolved(n):
    found = bootstrap(torch.ones(n, 1), mean)
    assert f"{n} rows are too few" in found.unresolved
    assert found.value == 1.0 and math.isnan(found.low) and math.isnan(found.high)


def test_an_undefined_statistic_is_unresolved(generator):
    found = bootstrap(torch.zeros(20, 1), lambda m: m[..., 0] / m[..., 0], generator=generator)
    assert "undefined on these rows (0/0)" in found.unresolved


def test_the_interval_holds_the_value_even_if_all_rows_agree(generator):
    found = bootstrap(torch.full((20, 1), 3.0), mean, generator=generator)
    assert (found.low, found.value, found.high) == (3.0, 3.0, 3.0)


def test_the_limit_for_long_splits_matches_resampling(generator, monkeypatch):
    kind = torch.multinomial(
        torch.tensor([0.6, 0.3, 0.1]), 5000, replacement=True, generator=generator
    )
    rows = torch.tensor([[0.0, 1.0], [1.0, 2.0], [5.0, 0.0]], dtype=torch.double)[kind]
    near = resampled_means(rows, n_resamples=4000, generator=generator)
    monkeypatch.setattr("netwright.measure._bootstrap._LONG", 100)
    far = resampled_means(rows, n_resamples=4000, generator=generator)
    assert far.shape == near.shape
    error = near.std(0) / 4000**0.5
    assert ((far.mean(0) - near.mean(0)).abs() < 3 * 2**0.5 * error).all()
    # Covariances of 4000 draws have errors of 2 to 3 %; times three, times the root of two.
    assert torch.allclose(far.T.cov(), near.T.cov(), rtol=0.12, atol=0.02 * near.var(0).max())


def test_one_huge_loss_does_not_turn_the_interval_around(generator):
    losses = torch.zeros(12, 1)
    losses[0] = 1000.0  # as skewed as twelve numbers can be
    found = bootstrap(losses, mean, generator=generator)
    assert found.high > 2 * found.value


def test_resamples_are_fewer_where_they_cost_more():
    count = {n: len(resampled_means(torch.zeros(n, 1), generator=torch.Generator())) for n in LONG}
    assert count == {10: 4000, 10_000: 2000, 30_000: 4000}  # the last from the normal limit


LONG = (10, 10_000, 30_000)


@pytest.mark.parametrize("runs", [60, pytest.param(600, marks=pytest.mark.claim)])
def test_coverage_is_as_promised_on_skewed_losses(runs, generator):
    # Exponential losses, n = 100, their mean.
    covered = 0
    for _ in range(runs):
        losses = exponential((100, 1), generator)
        found = bootstrap(losses, mean, n_resamples=1000, generator=generator)
        covered += found.low <= 1.0 <= found.high
    # BCa errs by O(1/n): 1 % allowed at n = 100, plus three standard errors.
    assert covered / runs >= 0.95 - 0.01 - 3 * (0.95 * 0.05 / runs) ** 0.5
