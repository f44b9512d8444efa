"""D4: a strategy that learns nothing, or too late, shows in the table."""

import dataclasses

import pytest

from netwright.claims import d4


@pytest.mark.claim
@pytest.mark.slow
def test_what_learns_beats_chance():
    found = d4.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


def test_every_strategy_keeps_to_the_budget(monkeypatch):
    monkeypatch.setattr(d4, "_QUICK", 2)
    monkeypatch.setattr(d4, "_BUDGET", 12)
    found = d4.run(full=False, seed=0)
    table, *charts = found.evidence[:3]
    assert {row[0] for row in table.rows} == set(d4._STRATEGIES)
    assert all(0 <= row[2] < 100 for row in table.rows)
    curves = {series.name: series for chart in charts for series in chart.series}
    assert set(curves) == set(d4._STRATEGIES)
    assert {len(series.x) for series in curves.values()} == {12}
    regrets = {row[0]: row[2] for row in table.rows}
    for series in curves.values():  # what the curve ends with is what the table says
        assert series.y[-1] == pytest.approx(regrets[series.name], abs=0.006)


def test_planted_poor_strategy_is_shown(monkeypatch):
    evolve = d4._STRATEGIES["evolution"]
    strategies = {
        "random": d4._STRATEGIES["random"],
        "evolution": evolve,
        "downwards": lambda seed: UpsideDown(evolve(seed)),
    }
    monkeypatch.setattr(d4, "_QUICK", 4)
    monkeypatch.setattr(d4, "_STRATEGIES", strategies)
    found = d4.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    assert "No better than random: downwards" in found.summary


class UpsideDown:
    """Takes good for bad."""

    def __init__(self, inner):
        self._inner = inner
        self.ask = inner.ask

    @property
    def remaining(self):
        return self._inner.remaining

    def tell(self, candidate, measurements):
        found = measurements["accuracy"]
        turned = dataclasses.replace(found, value=1 - found.value)
        self._inner.tell(candidate, {"accuracy": turned})
