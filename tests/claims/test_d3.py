import dataclasses

import pytest
import torch

from netwright.claims import d3
from netwright.design.spaces import cell_space


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = d3.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    tiny = dataclasses.replace(d3._QUICK, search=2, sharing=2, alone=2, n_random=2)
    monkeypatch.setattr(d3, "_QUICK", tiny)
    monkeypatch.setattr(d3, "_OPERATIONS", ("identity", "conv1x1"))
    monkeypatch.setattr(d3, "_SEEDS", 2)


@pytest.mark.slow
def test_planted_better_genotype_is_seen_and_an_equal_one_is_not(brief, monkeypatch):
    found = dict.fromkeys((0, 1))

    def alone(gain):
        seen = {}

        def measure(space, schema, splits, code, steps, seed):
            place = seen[seed] = seen.get(seed, -1) + 1
            return 0.5 + 0.01 * place + (gain if place == 2 else 0)  # the third is the genotype's

        return measure

    for place, gain in ((0, 0.2), (1, -0.015)):
        monkeypatch.setattr(d3, "_alone", alone(gain))
        found[place] = d3.run(full=False, seed=0)
    good, equal = found.values()
    assert "beats the median random genotype by 21.5 points" in good.summary
    assert good.measurement.value == pytest.approx(0.215)
    assert equal.measurement.value == pytest.approx(0.0)
    assert "(not more than it)" in equal.summary and equal.judgement.verdict == "broken"
    assert len(good.evidence[1].series[0].x) == 4  # cells that are ranked
    assert len(good.evidence[2].series) == 3  # identity, conv1x1, none


def test_rows_that_measure_are_not_learned_from():
    schema, x, y = d3._rows(0)
    train, rest = d3._split(x, y, 5)
    assert len(train) == 600 and len(rest) == 1197
    assert not set(train.rows.tolist()) & set(rest.rows.tolist())
    assert torch.equal(x[rest.rows], rest.x)
    assert cell_space(schema, n_nodes=2, operations=d3._OPERATIONS).decisions
