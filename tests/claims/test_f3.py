from dataclasses import replace

import pytest
from torch import nn

from netwright import _rng
from netwright.claims import _lenets, f3
from netwright.data import load
from netwright.finding import Measurement
from netwright.learn import Recipe


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met(shared_data):
    found = f3.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


@pytest.fixture
def brief(monkeypatch, mnist_of):
    monkeypatch.setattr(f3, "load", lambda name, seed: mnist_of(200))
    monkeypatch.setattr(_lenets, "train", lambda *arguments, **rest: None)
    monkeypatch.setattr(_lenets, "distil", lambda *arguments, **rest: None)


def test_stages_stand_beside_the_papers(brief, monkeypatch):
    won = Measurement(value=-0.02, low=-0.03, high=-0.01, n=10_000)
    monkeypatch.setattr(f3, "rate_drop", lambda before, after: won)
    found = f3.run(full=False, seed=0)
    stages, layers = found.evidence
    assert [row[0] for row in stages.rows] == ["LeNet-300-100"] * 4 + ["LeNet-5"] * 4
    for rows in (stages.rows[:4], stages.rows[4:]):
        assert list(row[2] for row in rows) == sorted((row[2] for row in rows), reverse=True)
        assert rows[0][3] == 1
    assert [row[2] for row in stages.rows[::4]] == [1066.4, 1724.3]
    assert [row[6] for row in stages.rows[3::4]] == [40.2, 39.2]  # of the paper, from its kB
    assert len(layers.rows) == 7
    assert found.judgement.verdict == "met"


def test_a_teacher_outweighs_labels_that_are_wrong():
    task = load("digits", seed=0)
    x = task.train.take(range(len(task.train)))
    with _rng.seeded(0):
        teacher, pupil = (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2))
    teacher[1].weight.data *= 10  # sure of itself
    wrong = replace(task.train, y=(teacher(x).argmax(1) + 1) % 10)
    recipe = Recipe(learning_rate=0.05, weight_decay=0.0)
    _lenets.teach(teacher)(pupil, replace(task, train=wrong), recipe, steps=150, seed=0)
    agreed = (pupil(x).argmax(1) == teacher(x).argmax(1)).float().mean()
    assert agreed > 0.8  # by chance, or by the labels: 0.1


def test_a_loss_beyond_the_interval_breaks_the_claim(brief, monkeypatch):
    lost = Measurement(value=0.02, low=0.01, high=0.03, n=10_000)
    monkeypatch.setattr(f3, "rate_drop", lambda before, after: lost)
    assert f3.run(full=False, seed=0).judgement.verdict == "broken"


def test_a_file_that_is_too_large_breaks_the_claim(brief, monkeypatch):
    won = Measurement(value=-0.02, low=-0.03, high=-0.01, n=10_000)
    monkeypatch.setattr(f3, "rate_drop", lambda before, after: won)
    monkeypatch.setattr(f3, "_QUICK", {"LeNet-300-100": 25.0, "LeNet-5": 1000.0})
    assert f3.run(full=False, seed=0).judgement.verdict == "broken"
