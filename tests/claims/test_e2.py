import pytest
import torch

from netwright.claims import e2


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = e2.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.delenv("NETWRIGHT_DATA", raising=False)  # the bundled digits
    monkeypatch.setattr(e2, "_QUICK", (20, 60, 6, 100))


def test_table_crosses_training_and_test(brief):
    found = e2.run(full=False, seed=0)
    heatmap, table, curve = found.evidence
    assert heatmap.columns == heatmap.rows == ("plain images", "attacked images")
    for (_, clean, attacked), cells in zip(table.rows, heatmap.values, strict=True):
        assert 0 <= attacked <= clean <= 1 and cells == pytest.approx((clean, attacked), abs=1e-3)
    certified = curve.series[0].y
    assert list(certified) == sorted(certified, reverse=True)
    assert "On digits" in found.summary


def test_certificates_that_are_broken_break_the_claim(brief, monkeypatch):
    monkeypatch.setattr(e2, "_certify", lambda *_: ({e2._CERTIFIED: 1.0}, 1, 5))
    monkeypatch.setattr(e2, "_GAIN", -1.0)
    monkeypatch.setattr(e2, "_PRICE", 1.0)
    found = e2.run(full=False, seed=0)
    assert found.judgement.verdict == "broken" and "broke 1 of 5" in found.summary


def test_a_training_on_noise_adds_none_when_it_answers():
    noisy = e2._Noisy(torch.nn.Identity(), 0.5).eval()
    x = torch.ones(3, 2)
    assert torch.equal(noisy(x), x)
