import numpy as np
import pytest
from scipy.optimize import linprog

from netwright.audits.verify._exclude import clip, combine, excluded, interior_point


@pytest.fixture
def systems(draw):
    slope = draw.normal(size=(120, 5, 4))
    low = draw.normal(size=(120, 4))
    high = low + draw.random((120, 4))
    offset = (
        draw.normal(size=(120, 5)) * 0.5 - np.matmul(slope, ((low + high) / 2)[..., None])[..., 0]
    )
    return slope, offset - 0.3, low, high


def feasible(slope, offset, low, high):
    bounds = list(zip(low, high, strict=True))
    return linprog(0 * low, A_ub=slope, b_ub=-offset, bounds=bounds).status == 0


@pytest.mark.oracle
def test_interior_point_decides_as_highs_does(systems):
    truth = np.array([feasible(*one) for one in zip(*systems, strict=True)])
    assert 20 < truth.sum() < 100  # both kinds are tried
    weight, point = interior_point(*systems)
    assert (excluded(*systems, weight) == ~truth).all()
    rows = np.matmul(systems[0], point[..., None])[..., 0] + systems[1]
    assert (rows[truth].max(1) <= 1e-9).all()


@pytest.mark.oracle
def test_line_searches_exclude_nothing_that_is_feasible(systems):
    truth = np.array([feasible(*one) for one in zip(*systems, strict=True)])
    shown = excluded(*systems, combine(*systems))
    assert not (shown & truth).any()
    assert shown[~truth].mean() > 0.5  # they are of use


@pytest.mark.oracle
def test_clipping_keeps_every_feasible_point(systems, draw):
    slope, offset, low, high = systems
    new_low, new_high = clip(*systems)
    assert ((new_low >= low) & (new_high <= high)).all()
    assert (new_high - new_low < 0.9 * (high - low)).any()
    for i in range(len(low)):
        x = draw.uniform(low[i], high[i], (500, 4))
        good = x[(x @ slope[i].T + offset[i] <= 0).all(1)]
        assert ((good >= new_low[i]) & (good <= new_high[i])).all()


def test_weights_are_not_believed():
    slope, offset = np.array([[[1.0], [-1.0]]]), np.array([[0.0, 0.0]])  # x <= 0 and x >= 0: x = 0
    low, high = np.array([[-1.0]]), np.array([[1.0]])
    assert not excluded(slope, offset, low, high, np.array([[1.0, 1.0]]))[0]
    assert excluded(slope, offset + 1e-9, low, high, np.array([[1.0, 1.0]]))[0]
    assert not excluded(slope, offset + 1e-17, low, high, np.array([[1.0, 1.0]]))[0]
    assert not excluded(slope, offset + 1.0, low, high, np.array([[np.nan, 1.0]]))[0]
