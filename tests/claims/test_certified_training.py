import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.audits.verify import Certified
from netwright.claims import certified_training as claim


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = claim.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.delenv("NETWRIGHT_DATA", raising=False)  # the bundled digits
    monkeypatch.setattr(claim, "_QUICK", (8, 20))


def test_what_is_proved_withstands_and_what_withstands_is_right(brief):
    found = claim.run(full=False, seed=0)
    (table,) = found.evidence
    assert [name for name, *_ in table.rows] == list(claim._TRAININGS)
    for _, clean, attacked, proved, at_once in table.rows:
        assert 0 <= at_once <= proved <= attacked <= clean <= 1
    assert "On digits" in found.summary and found.measurement.n == 8


def test_a_proof_that_an_attack_breaks_breaks_the_claim(brief, monkeypatch):
    """The planted fault: everything is called proved."""

    def untrained(task, steps, seed, changes):
        with _rng.seeded(seed):
            return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()

    def wrong(network, task, x, y):
        holds = torch.ones(len(x), dtype=torch.bool)
        return [Certified(holds, torch.ones(len(x)), ("intervals",) * len(x))]

    monkeypatch.setattr(claim, "_trained", untrained)
    monkeypatch.setattr(claim, "_bounded", wrong)
    monkeypatch.setattr(claim, "_QUICK", (24, 1))
    monkeypatch.setattr(claim, "_LEAST_QUICK", 0.0)
    monkeypatch.setattr(claim, "_AHEAD", -1.0)
    found = claim.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    assert "attacks broke 0 proved rows" not in found.summary
