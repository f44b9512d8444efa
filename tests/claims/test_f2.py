import pytest

from netwright.claims import f2
from netwright.finding import Measurement
from netwright.measure import SpeedUp


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met(shared_data):
    found = f2.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch, mnist_of):
    monkeypatch.setattr(f2, "load", lambda name, seed: mnist_of(80))
    monkeypatch.setattr(f2, "train", lambda *arguments, **rest: None)
    monkeypatch.setattr(f2, "_PAIRS", 12)
    monkeypatch.setattr(f2, "_CALIBRATION", 8)
    monkeypatch.setattr(f2, "_BITS", (8, 2))


def faster(value):
    measured = Measurement(value=value, low=value - 0.1, high=value + 0.1, n=300)
    return lambda *_: SpeedUp(measured, 1e-3, 1e-3)


def test_both_files_and_every_number_of_bits_have_a_row(brief, monkeypatch):
    found = f2.run(full=False, seed=0)
    files, bits = found.evidence
    assert [row[0] for row in files.rows] == ["float32", "int8"]
    assert files.rows[1][1] < 0.4 * files.rows[0][1]
    assert [row[0] for row in bits.rows] == [8, 2]
    assert found.measurement.value > 0


@pytest.mark.parametrize(("times", "verdict"), [(1.5, "met"), (1.05, "broken")])
def test_the_whole_interval_must_be_faster(brief, monkeypatch, times, verdict):
    same = Measurement(value=0.0, low=-0.001, high=0.001, n=80)
    monkeypatch.setattr(f2, "rate_drop", lambda before, after: same)
    monkeypatch.setattr(f2, "_compare", faster(times))
    assert f2.run(full=False, seed=0).judgement.verdict == verdict


def test_a_loss_above_the_bar_breaks_the_claim(brief, monkeypatch):
    lost = Measurement(value=0.004, low=-0.001, high=0.009, n=80)
    monkeypatch.setattr(f2, "rate_drop", lambda before, after: lost)
    monkeypatch.setattr(f2, "_compare", faster(2.0))
    assert f2.run(full=False, seed=0).judgement.verdict == "broken"
