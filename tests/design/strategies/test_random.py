from netwright.design.strategies import RandomCodes
from netwright.requirement import Requirement

from .hills import Hill, Nut, exactly, search


def half(candidate):
    return {"accuracy": exactly(0.5)}


def test_every_design_has_its_chance():
    first = [RandomCodes(Nut(), n_candidates=1, seed=seed).ask().design.name for seed in range(400)]
    # 4 standard errors around 100
    assert all(abs(first.count(name) - 100) < 35 for name in set(first)) and len(set(first)) == 4


def test_seeds_draw_differently():
    drawn = {
        tuple(c.design.name for c in search(RandomCodes(Hill(), n_candidates=4, seed=seed), half))
        for seed in range(10)
    }
    assert len(drawn) == 10


def test_it_looks_at_nothing_that_it_is_told():
    bounds = [Requirement.parse("accuracy >= 0.9")]
    found = search(RandomCodes(Hill(), n_candidates=20, requirements=bounds))
    assert found == search(RandomCodes(Hill(), n_candidates=20), half)
    assert {c.fidelity for c in found} == {1.0}
