"""D2: progressive search with a third of the children, and what is said of one that is none."""

import pytest

from netwright.claims import d2
from netwright.design.strategies import RandomCodes


@pytest.mark.claim
@pytest.mark.slow
def test_a_third_of_the_children_is_enough():
    found = d2.run(full=False, seed=0)
    assert found.judgement.verdict != "broken", found.summary
    assert found.measurement.high - found.measurement.low < 0.01  # points of accuracy: it is level


def test_chance_with_a_third_of_the_children_is_not_enough(monkeypatch):
    monkeypatch.setattr(d2, "_QUICK", 4)
    monkeypatch.setattr(d2, "_CHILDREN", (30, 150))
    monkeypatch.setattr(d2, "Progressive", RandomCodes)
    found = d2.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    controller, progressive, chance = found.evidence[0].rows[3:]
    assert (controller[1], progressive[1]) == (150, 50)
    assert progressive[2:] == chance[2:]
    assert controller[5:] == (0.0, 0.0, 0.0)
    assert controller[4] > chance[4]  # more searches try the best network
