import pytest

from netwright import _rng
from netwright.claims import f1_structured
from netwright.data import load
from netwright.design.families import residual_cnn
from netwright.finding import Measurement


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met(shared_data):
    found = f1_structured.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    # The same on small images and with few steps; times are not measured.
    monkeypatch.setattr(f1_structured, "load", lambda _, seed: load("digits", seed=seed))
    monkeypatch.setattr(
        f1_structured, "train", lambda network, *_, steps, seed: network.train(steps < 0)
    )
    monkeypatch.setattr(f1_structured, "_SHARES", (0.5,))
    timed = []

    def times(large, small, task, *, pairs):
        timed.append(small)
        return Measurement(2.0, 1.9, 2.1, pairs)

    monkeypatch.setattr(f1_structured, "_times_faster", times)
    return timed


def test_every_way_has_a_row_and_half_of_the_work(brief):
    found = f1_structured.run(full=False, seed=0)
    table, layers = found.evidence
    assert [row[0] for row in table.rows] == ["Taylor", "filter norms"]
    assert all(30 < row[1] <= 50 for row in table.rows)
    assert "no whole blocks left, it is 2.00 times" in found.summary
    assert all(now % 16 == 0 and now < before for _, before, now in layers.rows)
    assert len(brief) == 3


def test_a_network_that_is_no_faster_breaks_the_claim(brief, monkeypatch):
    slow = Measurement(1.6, 1.4, 1.8, 9)  # sure only of 1.4
    monkeypatch.setattr(f1_structured, "_times_faster", lambda *_, pairs: slow)
    monkeypatch.setattr(f1_structured, "_IMPORTANCES", {"Taylor": f1_structured._norms})
    found = f1_structured.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"


def test_files_are_timed_by_turns():
    task = load("digits")
    with _rng.seeded(0):
        network = residual_cnn(task.schema, widths=(4,), blocks=(1,))
    found = f1_structured._times_faster(network, network, task, pairs=30)
    assert (found.n, found.unit) == (30, "")
    assert 0 < found.low <= found.value <= found.high
