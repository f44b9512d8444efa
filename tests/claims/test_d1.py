"""D1: the controller against chance, and what is said of a controller that is none."""

import pytest

from netwright.claims import d1
from netwright.design.strategies import RandomCodes


@pytest.mark.claim
@pytest.mark.slow
def test_the_controller_beats_chance():
    found = d1.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


def test_what_changes_nothing_has_no_effect(monkeypatch):
    class Dreamer(RandomCodes):
        history = ()

    monkeypatch.setattr(d1, "_QUICK", 3)
    monkeypatch.setattr(d1, "Reinforce", Dreamer)
    found = d1.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    assert found.measurement.value == 0
    assert [row[-1] for row in found.evidence[0].rows] == [1.0, 1.0]
