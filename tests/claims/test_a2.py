import pytest
import torch
from torch import nn

from netwright.claims import a2


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = a2.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary
    counts = found.evidence[0]
    assert all(row[-1] == 0 for row in counts.rows)
    assert sum(row[2] > 0 for row in counts.rows) >= 20  # linear models of words multiply nothing


@pytest.mark.oracle
def test_counts_of_every_network_agree():
    for name, network, x in a2._networks(seed=1):
        _, _, ours, theirs = a2._count(name, network, x)
        assert ours == theirs, name
        # A linear model of words looks its weights up and adds them: nothing is multiplied.
        assert ours > 0 or "linear in words" in name, name


def test_planted_wrong_count_is_seen(monkeypatch):
    from netwright.measure import _macs

    wrong = dict(_macs._COUNTS)
    del wrong[torch.ops.aten.bmm]
    monkeypatch.setattr(_macs, "_COUNTS", wrong)

    class Products(nn.Module):
        def forward(self, x):
            return x @ x

    _, _, ours, theirs = a2._count("products", Products(), torch.ones(2, 3, 3))
    assert (ours, theirs) == (0, 54)
