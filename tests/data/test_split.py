import numpy as np
import pytest

from netwright.data import DataError
from netwright.data._split import NAMES, assign, carve, strata_of_values


def counts(chosen, of=None):
    return np.bincount(chosen if of is None else chosen[of], minlength=4).tolist()


@pytest.mark.parametrize("n", [10, 150, 1797, 70_000])
def test_shares_are_exact_to_a_row(n):
    assert (
        np.abs(np.array(counts(assign(n, seed=0))) - n * np.array([0.6, 0.1, 0.1, 0.2])).max() < 1
    )


def test_every_stratum_gets_its_share(rng):
    strata = rng.choice(5, 2000, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    chosen = assign(2000, seed=3, strata=strata)
    for stratum in range(5):
        found = np.array(counts(chosen, strata == stratum))
        wanted = (strata == stratum).sum() * np.array([0.6, 0.1, 0.1, 0.2])
        assert np.abs(found - wanted).max() <= 2  # each of three cuts rounds once


def test_a_class_of_two_has_a_training_row():
    for seed in range(50):
        strata = np.array([0] * 20 + [1, 1])
        assert 0 in assign(22, seed=seed, strata=strata)[20:]


def test_same_seed_same_split_and_other_seed_another():
    assert (assign(100, seed=1) == assign(100, seed=1)).all()
    assert (assign(100, seed=1) != assign(100, seed=2)).any()


def test_strata_are_balanced_by_chance_not_by_position():
    # Rows of one stratum must not be dealt out in file order.
    chosen = assign(1000, seed=0)
    assert 300 < np.flatnonzero(chosen == 3).mean() < 700


def test_no_group_is_on_both_sides(rng):
    group = rng.integers(0, 80, 1000)
    chosen = assign(1000, seed=0, group=group)
    assert all(len(np.unique(chosen[group == g])) == 1 for g in np.unique(group))
    assert np.abs(np.array(counts(chosen)) - [600, 100, 100, 200]).max() <= 30


def test_one_giant_group_goes_to_training(rng):
    group = np.concatenate([np.zeros(900, int), np.arange(1, 101)])
    chosen = assign(1000, seed=0, group=group)
    assert set(chosen[:900]) == {0} and set(chosen) == {0, 1, 2, 3}


def test_too_few_groups_is_an_error_that_says_so():
    with pytest.raises(DataError, match="`group` has 3 distinct groups, too few for 4 splits"):
        assign(30, seed=0, group=np.arange(30) % 3)


def test_time_runs_from_training_to_test(rng):
    time = rng.integers(0, 300, 1000).astype(float)
    chosen = assign(1000, seed=0, time=time)
    ends = [(time[chosen == place].min(), time[chosen == place].max()) for place in range(4)]
    assert all(before[1] < after[0] for before, after in zip(ends[:-1], ends[1:], strict=True))


def test_too_few_moments_is_an_error():
    with pytest.raises(DataError, match="`time` leaves the .* split empty.*2 distinct moments"):
        assign(100, seed=0, time=np.arange(100) % 2)


def test_group_and_time_contradict_each_other():
    with pytest.raises(ValueError, match="`group` or `time`, not both"):
        assign(10, seed=0, group=np.arange(10), time=np.arange(10))


def test_carving_leaves_the_official_test_alone():
    official = np.array([0] * 80_000 + [3] * 10_000)
    chosen = carve(official, seed=0)
    assert (np.flatnonzero(chosen == 3) == np.arange(80_000, 90_000)).all()
    assert counts(chosen) == [70_000, 5000, 5000, 10_000]


def test_carving_takes_only_what_is_missing():
    chosen = carve(np.array([0] * 100 + [1] * 7 + [-1] * 100), seed=0)
    assert counts(chosen) == [140, 7, 20, 40]
    assert (chosen[100:107] == 1).all()


def test_carving_keeps_groups_together():
    group = np.arange(300) // 3
    chosen = carve(np.array([0] * 240 + [3] * 60), seed=0, group=group)
    assert all(len(np.unique(chosen[group == g])) == 1 for g in range(100))


def test_strata_of_values_are_tenths(rng):
    assert np.bincount(strata_of_values(rng.normal(size=1000))).tolist() == [100] * 10


def test_names_are_in_the_order_of_the_numbers():
    assert NAMES == ("train", "validation", "calibration", "test")
