import pytest
import torch

from netwright.design import RandomSearch
from netwright.requirement import Requirement

from .samples import design, exactly

DESIGNS = [design(name) for name in "abcdefgh"]


def run(search):
    asked = []
    while (candidate := search.ask()) is not None:
        asked.append(candidate)
        search.tell(candidate, {"accuracy": exactly(0.5)})
    return asked


def drawn(seed, n=4):
    generator = torch.Generator().manual_seed(seed)
    return [c.design.name for c in run(RandomSearch(DESIGNS, n_candidates=n, generator=generator))]


def test_same_generator_same_draw_other_seed_another():
    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(10)}) > 5
    assert [c.design for c in run(RandomSearch(DESIGNS))] == [
        c.design for c in run(RandomSearch(DESIGNS))
    ]


def test_designs_are_drawn_without_replacement_and_trained_in_full():
    asked = run(RandomSearch(DESIGNS, n_candidates=100))
    assert sorted(c.design.name for c in asked) == list("abcdefgh")
    assert [c.number for c in asked] == list(range(8))
    assert {c.fidelity for c in asked} == {1.0}


def test_every_design_has_its_chance():
    first = [drawn(seed, n=1)[0] for seed in range(400)]
    # 4 standard errors around 50
    assert all(abs(first.count(name) - 50) < 27 for name in "abcdefgh")


def test_remaining_is_what_was_not_told():
    search = RandomSearch(DESIGNS, n_candidates=3)
    assert search.remaining == 3
    one, two = search.ask(), search.ask()
    assert search.remaining == 3
    search.tell(two, {})
    assert search.remaining == 2
    search.tell(one, {})
    search.tell(search.ask(), {})
    assert search.remaining == 0
    assert search.ask() is None


def test_it_takes_what_every_strategy_takes_and_looks_at_none_of_it():
    bounds = [Requirement.parse("accuracy >= 0.9")]
    found = run(RandomSearch(DESIGNS, requirements=bounds, metric="accuracy"))
    assert found == run(RandomSearch(DESIGNS))


def test_nothing_is_told_twice():
    search = RandomSearch(DESIGNS)
    candidate = search.ask()
    search.tell(candidate, {})
    with pytest.raises(ValueError, match="was not asked for, or was told before"):
        search.tell(candidate, {})


@pytest.mark.parametrize(("designs", "n"), [([], 3), (DESIGNS, 0)])
def test_something_to_draw_is_needed(designs, n):
    with pytest.raises(ValueError, match=f"got {len(designs)} designs and {n} candidates"):
        RandomSearch(designs, n_candidates=n)
