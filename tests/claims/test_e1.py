import pytest

from netwright.audits.attack import Attacked
from netwright.claims import e1


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = e1.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(e1, "_QUICK", (16, 60))
    monkeypatch.setattr(e1, "_STEPS", 3)
    monkeypatch.setattr(e1, "_others", lambda *_: {"nothing": 0.0})


def test_every_attack_has_a_row_for_both_networks(brief):
    found = e1.run(full=False, seed=0)
    chart, table, more = found.evidence
    assert [row[0] for row in table.rows][:2] == ["none", "FGSM"]
    assert table.rows[-1][0] == "ensemble" and len(table.rows) == 11
    assert all(0 <= cell <= 1 for row in table.rows for cell in row[1:])
    assert [series.name for series in chart.series] == ["trained plainly", "trained on attacks"]
    assert more.rows == (("nothing", 0.0, 0.0),)


def test_an_ensemble_that_finds_less_than_one_attack_breaks_the_claim(brief, monkeypatch):
    def asleep(network, x, y, **_):
        return Attacked(x, network(x).argmax(1) != y, 0)

    monkeypatch.setattr(e1, "strongest", asleep)
    assert e1.run(full=False, seed=0).judgement.verdict == "broken"
