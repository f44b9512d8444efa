import math

from netwright.design.strategies import Fitness, fitness, standings
from netwright.requirement import Requirement

from .hills import exactly

SMALL = Requirement.parse("size <= 100 kB")
FAIR = Requirement.parse("accuracy >= 0.9")


def test_missing_less_comes_before_a_better_metric():
    def of(accuracy, size):
        found = {"accuracy": exactly(accuracy), SMALL.text: exactly(size)}
        return fitness(found | {FAIR.text: exactly(accuracy)}, [SMALL, FAIR], "accuracy")

    ordered = [of(0.95, 9e4), of(0.91, 1e5), of(0.85, 9e4), of(0.95, 2e5), of(0.85, 2e5)]
    assert sorted(reversed(ordered)) == ordered
    assert ordered[3].missed == math.log(2)


def test_direction_comes_from_the_catalogue():
    assert fitness({"rmse": exactly(2.0)}, [], "rmse") == Fitness(0, 2.0)
    assert fitness({"accuracy": exactly(0.7)}, [], "accuracy") == Fitness(0, -0.7)


def test_what_was_not_trained_is_judged_by_what_it_misses_and_what_diverged_is_last():
    pruned = fitness({SMALL.text: exactly(2e5)}, [SMALL], "accuracy")
    diverged = fitness(
        {SMALL.text: exactly(1e4), "accuracy": exactly(math.nan)}, [SMALL], "accuracy"
    )
    worst = fitness({SMALL.text: exactly(9e9), "accuracy": exactly(0.0)}, [SMALL], "accuracy")
    assert pruned < worst < diverged == fitness({}, [SMALL], "accuracy")
    assert not pruned.is_usable and worst.is_usable


def test_a_standing_is_the_share_that_is_beaten():
    found = [Fitness(0, loss) for loss in (1.0, 2.0, 2.0, 5.0)]
    assert standings(found, found) == [0.875, 0.5, 0.5, 0.125]
    assert standings([Fitness(0, 0.0), Fitness(1, 0.0)], found) == [1.0, 0.0]
    assert standings([], []) == []
