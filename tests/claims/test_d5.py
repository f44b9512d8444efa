import dataclasses

import pytest

from netwright.claims import d5
from netwright.finding import Finding, Judgement, Measurement, Table


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = d5.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


def judged(text, verdict):
    return Finding(
        text,
        text,
        "0.9 (0.8 to 1): so",
        Measurement(0.9, 0.8, 1.0, 9),
        text,
        Judgement(verdict, ""),
    )


FRONT = Table("The reachable front", ("design", "accuracy", "size"), (("tiny", 0.9, 6000),))
PRICES = Table(
    "The price of each requirement",
    ("requirement", "bound", "accuracy lost", "binds alone"),
    (
        ("accuracy >= 0.97", "as stated", None, "yes"),
        ("size <= 10 kB", "as stated", "0.078", "yes"),
        ("size <= 10 kB", "37.4 kB", "0.002", None),
    ),
)


@pytest.fixture
def builds(monkeypatch):
    """What two builds found, planted."""

    def plant(prices=PRICES, fourth="met", first="broken"):
        reachable = Finding("reachable", "R", "no", evidence=(FRONT, prices))
        pair = (judged("accuracy >= 0.97", first), judged("size <= 10 kB", "met"), reachable)
        four = tuple(judged(text, "met") for text in d5._FOUR[:3]) + (judged("robust", fourth),)
        monkeypatch.setattr(d5, "_build", lambda r, *_: pair if r == d5._PAIR else four)
        return d5.run(full=False, seed=0)

    return plant


def test_all_three_shown(builds):
    found = builds()
    assert found.judgement.verdict == "met"
    assert found.summary == (
        "3 of 3 shown. size <= 10 kB costs 7.8 points of accuracy; 37.4 kB costs 0.2."
    )


@pytest.mark.parametrize("place, cell, lacking", [
    ((0, 3), "no", "both bind"),
    ((1, 2), None, "looser bounds cost less"),
    ((2, 2), "0.078", "looser bounds cost less"),
])  # fmt: skip
def test_a_table_that_says_otherwise_is_no_price_list(builds, place, cell, lacking):
    rows = [list(row) for row in PRICES.rows]
    rows[place[0]][place[1]] = cell
    found = builds(prices=dataclasses.replace(PRICES, rows=tuple(map(tuple, rows))))
    assert found.judgement.verdict == "broken"
    assert lacking in found.summary


@pytest.mark.parametrize("planted", [{"fourth": "undecided"}, {"first": "met"}])
def test_verdicts_that_are_others_break_the_claim(builds, planted):
    assert builds(**planted).judgement.verdict == "broken"
