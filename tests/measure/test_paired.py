import itertools

import pytest
import torch
from scipy.stats import multinomial

from netwright.measure import rate_drop


def rows(lost, won, both, neither):
    before = [True] * lost + [False] * won + [True] * both + [False] * neither
    after = [False] * lost + [True] * won + [True] * both + [False] * neither
    return torch.tensor(before), torch.tensor(after)


def test_the_drop_is_what_was_lost_less_what_was_won():
    found = rate_drop(*rows(lost=30, won=10, both=900, neither=60))
    assert (found.value, found.n, found.note) == (0.02, 1000, "30 rows lost, 10 won")
    assert found.low < 0.02 < found.high


def test_it_is_negative_where_the_change_helped():
    found = rate_drop(*rows(lost=0, won=40, both=60, neither=0))
    assert (found.value, found.high < 0) == (-0.4, True)


def test_rows_on_which_both_agree_narrow_the_interval():
    few, many = (rate_drop(*rows(5, 5, both, 0)) for both in (90, 9990))
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(0.01, rel=0.1)


def test_no_difference_still_has_an_interval():
    found = rate_drop(*rows(0, 0, 50, 0))
    assert found.low < 0 < found.high < 0.1


@pytest.mark.oracle
def test_the_interval_covers_the_truth_as_often_as_promised():
    # Every table of 20 rows, weighted by its probability.
    for chances in ((0.1, 0.05, 0.8, 0.05), (0.02, 0.02, 0.9, 0.06), (0.3, 0.1, 0.5, 0.1)):
        covered = 0.0
        for lost, won in itertools.product(range(21), repeat=2):
            if lost + won > 20:
                continue
            rest = 20 - lost - won
            found = rate_drop(*rows(lost, won, rest, 0))
            if found.low <= chances[0] - chances[1] <= found.high:
                p = (chances[0], chances[1], chances[2] + chances[3])
                covered += multinomial.pmf((lost, won, rest), 20, p)
        # The paper's figure 2 shows coverage between 0.94 and 1 for such rates.
        assert 0.94 <= covered <= 1


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        rate_drop(torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.bool))
