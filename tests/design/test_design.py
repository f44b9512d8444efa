import dataclasses

import pytest

from netwright.design import Candidate, Design, Strategy, SuccessiveHalving
from netwright.learn import Recipe


def test_designs_and_candidates_are_values():
    assert Design("a", "b", {"c": [1]}) == Design("a", "b", {"c": [1]}, Recipe())
    assert Candidate(0, Design("a", "b")) == Candidate(0, Design("a", "b"), 1.0, None)
    assert Candidate(0, Design("a", "b")) != Candidate(1, Design("a", "b"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Design("a", "b").name = "c"


def test_designs_do_not_share_their_parameters():
    assert Design("a", "b").parameters is not Design("c", "d").parameters


def test_a_search_is_a_strategy():
    strategy = SuccessiveHalving([Design("a", "b")], requirements=(), metric="accuracy")
    assert isinstance(strategy, Strategy)


def test_something_that_only_asks_is_none():
    class Asks:
        def ask(self):
            return None

    assert not isinstance(Asks(), Strategy)
