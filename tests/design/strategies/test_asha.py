from collections import Counter

import pytest

from netwright.design.strategies import Asha, RegularizedEvolution

from .hills import Hill, accuracy, exactly, measured, search


def by_fidelity(asked):
    return Counter(round(c.fidelity, 4) for c in asked)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("n", "plan"), [(27, {1 / 9: 27, 1 / 3: 9, 1: 3}), (10, {1 / 9: 10, 1 / 3: 3, 1: 1}),
                    (2, {1 / 9: 2, 1 / 3: 1, 1: 1})],
)  # fmt: skip
def test_the_plan_to_the_unit(n, plan):
    asked = search(Asha(Hill(), n_candidates=n))
    assert by_fidelity(asked) == {round(share, 4): count for share, count in plan.items()}


@pytest.mark.oracle
def test_when_all_are_told_the_best_of_each_rung_have_gone_up():
    # Told one at a time, a rung may promote early what later ones overtake; the best of all never
    # stays below.
    for seed in range(5):
        asked = search(Asha(Hill(), n_candidates=27, seed=seed))
        value = lambda c: accuracy(c.design.parameters["code"])  # noqa: E731
        best = max(value(c) for c in asked)
        assert max(value(c) for c in asked if c.fidelity == 1) == best


def test_a_whole_rung_told_at_once_is_halved_as_in_the_synchronous_algorithm():
    strategy = Asha(Hill(), n_candidates=9)
    low = [strategy.ask() for _ in range(9)]
    with pytest.raises(RuntimeError, match="Tell candidates 0, 1, 2, 3, 4, 5, 6, 7, 8 before"):
        strategy.ask()
    for candidate in low:
        strategy.tell(candidate, measured(candidate))
    ranked = sorted(low, key=lambda c: (-measured(c)["accuracy"].value, c.number))
    promoted = [strategy.ask() for _ in range(3)]
    assert [c.design for c in promoted] == [c.design for c in ranked[:3]]


def test_a_good_candidate_goes_up_before_the_lowest_rung_is_full():
    strategy = Asha(Hill(), n_candidates=27)
    asked = []
    for _ in range(4):
        asked.append(strategy.ask())
        strategy.tell(asked[-1], measured(asked[-1]))
    assert [c.fidelity for c in asked] == pytest.approx([1 / 9, 1 / 9, 1 / 9, 1 / 3])


def test_weights_may_be_inherited_and_only_the_difference_is_paid():
    asked = search(Asha(Hill(), n_candidates=9, inherit=True))
    by_number = {c.number: c for c in asked}
    higher = [c for c in asked if c.parent is not None]
    assert [round(c.fidelity, 4) for c in higher] == [0.2222, 0.2222, 0.2222, 0.6667]
    assert all(by_number[c.parent].design == c.design for c in higher)
    assert all(c.parent is None for c in search(Asha(Hill(), n_candidates=9)))


def test_it_stands_around_any_strategy_which_is_told_of_the_lowest_rung():
    made = []

    def make(*args, **kwargs):
        made.append(RegularizedEvolution(*args, **kwargs))
        return made[0]

    asked = search(Asha(Hill(), n_candidates=30, make_sampler=make))
    assert len(made[0]._children.told) == 30
    assert all(c.candidate.fidelity == pytest.approx(1 / 9) for c in made[0]._children.told)
    assert len({c.design.name for c in asked}) == 30


def test_what_failed_does_not_go_up_while_others_may():
    def measure(candidate):
        return {} if candidate.number % 2 else {"accuracy": exactly(0.5)}

    asked = search(Asha(Hill(), n_candidates=9), measure)
    failed = {c.design.name for c in asked if c.number % 2 and c.fidelity < 0.2}
    second = [c for c in asked if 0.2 < c.fidelity < 0.9]
    assert not failed & {c.design.name for c in second}


@pytest.mark.parametrize("arguments", [{"reduction": 1}, {"least": 0.0}, {"least": 1.5}])
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match="`reduction` must be at least 2"):
        Asha(Hill(), n_candidates=3, **arguments)


@pytest.mark.parametrize("axis", ["epochs", "rows", "resolution"])
def test_the_axis_goes_with_every_candidate(axis):
    asked = search(Asha(Hill(), n_candidates=9, axis=axis))
    assert {c.axis for c in asked} == {axis}
    assert {c.is_shrunk for c in asked if c.fidelity < 1} == {axis == "resolution"}
    assert not any(c.is_shrunk for c in asked if c.fidelity == 1)


def test_trainings_on_other_data_cannot_be_continued():
    with pytest.raises(ValueError, match="and epochs with `inherit`; got 'rows'"):
        Asha(Hill(), n_candidates=9, axis="rows", inherit=True)
