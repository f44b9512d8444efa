"""The claim about learned augmentation, on a few rows and a few steps."""

import pytest

from netwright.claims import augmentation
from netwright.claims.augmentation import _Setting
from netwright.learn import WIDTHS


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(augmentation, "_QUICK", (_Setting("digits", 60, 20, 2, 1),))


def test_all_ways_share_rows_and_are_compared_in_pairs(short):
    found = augmentation.run(full=False, seed=1000)
    table, widths = found.evidence
    assert [row[0] for row in table.rows] == ["none", "by hand", "TrivialAugment", "learned"]
    by_way = {row[0]: row for row in table.rows}
    assert by_way["none"][2:4] == (None, None)
    assert by_way["TrivialAugment"][4:] == (None, None)
    accuracies = [row[1] for row in table.rows]
    assert len(set(accuracies)) > 1 and all(0 <= a <= 100 for a in accuracies)
    assert widths.series[0].x == tuple(WIDTHS)
    assert found.measurement.value == pytest.approx(
        (by_way["learned"][1] - by_way["none"][1]) / 100, abs=2e-4
    )
    assert "60 labels" in found.summary


def test_a_learned_augmentation_that_is_worse_breaks_the_claim(short, monkeypatch):
    def train(setting, first):
        scores = {"none": [0.90, 0.91], "by hand": [0.9, 0.9], "TrivialAugment": [0.95, 0.96]}
        return scores | {"learned": [0.92, 0.929]}, [dict.fromkeys(WIDTHS, 0.1)]

    monkeypatch.setattr(augmentation, "_train", train)
    found = augmentation.run(full=False, seed=0)
    assert found.judgement.verdict == "broken"  # TrivialAugment is better with its whole interval
    assert "better than TrivialAugment" in found.summary


def test_rows_are_the_same_for_all_ways_and_others_for_another_seed():
    from netwright.data import load

    task = load("digits", seed=0)
    first, again, other = (augmentation._part(task.train, 50, seed) for seed in (3, 3, 4))
    assert first.rows.tolist() == again.rows.tolist() != other.rows.tolist()
