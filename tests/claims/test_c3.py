import dataclasses

import pytest
from scipy.stats import ttest_rel

from netwright.claims import c3


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met():
    found = c3.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(c3, "_QUICK", (2, 30))
    monkeypatch.setattr(c3, "_N_TRAIN", 100)

    def choose(*variants):
        monkeypatch.setattr(c3, "_VARIANTS", variants)

    return choose


def test_what_changes_nothing_has_no_effect(brief):
    # The pairing is exact: same rows, labels, weights and batches.
    brief(c3._Variant("nothing", "off"))
    found = c3.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"
    assert found.evidence[1].rows == (("nothing", "off", *[0.0] * 6),)


def test_planted_harm_is_shown_as_harm(brief):
    harmful = dataclasses.replace(c3._PLAIN, learning_rate=1e-9)
    brief(c3._Variant("no learning", "rate of 1e-9", recipe=harmful))
    found = c3.run(full=False, seed=0)
    _, _, points, *_ = found.evidence[1].rows[0]
    assert points < -20
    assert found.evidence[0].series[0].y[0] == pytest.approx(points, abs=0.01)


def test_every_variant_differs_from_plain_in_one_thing():
    for variant in c3._VARIANTS:
        changes = [bool(variant.layers), variant.recipe != c3._PLAIN, variant.members > 1]
        assert sum(changes) == 1, variant.name
    assert len({variant.name for variant in c3._VARIANTS}) == 9


@pytest.mark.oracle
def test_interval_is_that_of_the_paired_t_test():
    plain = [(0.80, 0.5), (0.83, 0.4), (0.79, 0.6), (0.85, 0.5)]
    found = [(0.84, 0.4), (0.85, 0.5), (0.80, 0.5), (0.90, 0.3)]
    effect = c3._effect(c3._VARIANTS[0], plain, found)
    for which, change in ((0, effect.accuracy), (1, effect.log_loss)):
        peer = ttest_rel([f[which] for f in found], [p[which] for p in plain])
        low, high = peer.confidence_interval(0.95)
        assert (change.low, change.high) == pytest.approx((low, high))
