import pytest

from netwright.claims import f1
from netwright.finding import Measurement


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met(shared_data):
    found = f1.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch, mnist_of):
    monkeypatch.setattr(f1, "load", lambda name, seed: mnist_of(200))
    monkeypatch.setattr(f1, "train", lambda *arguments, **rest: None)


def test_every_way_keeps_as_many_weights(brief):
    table, layers, chart = f1.run(full=False, seed=0).evidence
    assert [row[0] for row in table.rows][0] == "iterative" and len(table.rows) == 5
    assert {row[2] for row in table.rows} == {12.5}
    assert sum(row[1] for row in layers.rows) == table.rows[0][1]
    assert chart.series[0].x == (0.08, 0.25, 1.0)


def test_a_loss_beyond_the_interval_breaks_the_claim(brief, monkeypatch):
    lost = Measurement(value=0.02, low=0.01, high=0.03, n=10_000)
    monkeypatch.setattr(f1, "rate_drop", lambda before, after: lost)
    assert f1.run(full=False, seed=0).judgement.verdict == "broken"


def test_too_many_weights_break_the_claim(brief, monkeypatch):
    won = Measurement(value=-0.02, low=-0.03, high=-0.01, n=10_000)
    monkeypatch.setattr(f1, "rate_drop", lambda before, after: won)
    assert f1.run(full=False, seed=0).judgement.verdict == "met"
    monkeypatch.setattr(f1, "_STEPS", ((0.25, 1), (0.1, 2)))
    assert f1.run(full=False, seed=0).judgement.verdict == "broken"
