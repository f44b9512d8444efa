"""A smaller design is found within the bounds, taught, and found again after a kill."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from netwright import _compress_students
from netwright._compress_chains import Chains
from netwright._compress_passes import AlreadyThere, CannotCut
from netwright._compress_shape import Shaped, read_shaped, write_shaped
from netwright._compress_students import bounds_of, study
from netwright._compress_training import Retraining
from netwright._journal import Journal
from netwright.data import load
from netwright.design import Design, build_network
from netwright.learn import Budget, Recipe, fit
from netwright.requirement import Requirement

LARGE = Design(
    "large", "residual_cnn", {"widths": [16, 24, 48], "blocks": [0, 1, 1]}, Recipe(batch_size=64)
)
UNITS = 10.0


def parse(*texts):
    return [Requirement.parse(text) for text in texts]


@pytest.fixture(scope="module")
def task():
    return load("digits", seed=0)


@pytest.fixture(scope="module")
def before(task):
    network = build_network(LARGE, task.schema, seed=0)
    fit(
        network, task.train, task.validation, target=task.schema.target, recipe=LARGE.recipe,
        steps=60, seed=0, device="cpu",
    )  # fmt: skip
    return Shaped(network.eval(), LARGE)


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(_compress_students, "_DRAWS", 12)


def lessons(before, task, folder, *texts, steps=150):
    folder.mkdir(parents=True, exist_ok=True)
    budget = Budget.parse(f"{steps} steps")
    train = Retraining(before.network, task, budget, folder=folder, seed=0)
    train.units = UNITS
    events = []
    journal = Journal(folder / "log.jsonl", events.append)
    student = study(
        before, task, parse(*texts), train=train, units=UNITS, folder=folder / "students",
        journal=journal, name="students/0", seed=0,
    )  # fmt: skip
    return student, train, [e.facts["text"] for e in events]


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_bytes_bound_parameters_and_half_is_the_most():
    (params,) = bounds_of(parse("accuracy_drop <= 1 points"), 1000)
    assert params.text == "params <= 500"
    macs, params = bounds_of(parse("macs <= 9 k", "size <= 200 B", "memory <= 9 MB"), 1000)
    assert macs.bound == 9000 and params.bound == 400


def test_a_student_keeps_to_the_bounds_and_has_learned(before, task, tmp_path, few_draws):
    student, train, said = lessons(before, task, tmp_path, "size <= 6 kB")
    assert count(student.network) <= min(12_000, count(before.network) / 2)
    assert math.isclose(train.spent, 150, abs_tol=10)  # whole steps
    x, y = task.validation.take(range(len(task.validation))), task.validation.y
    with torch.no_grad():
        assert (student.network(x).argmax(1) == y).double().mean() > 0.5  # guessing: 0.1
    assert said[-1].startswith("student, 100 % of the lessons") and len(said) > 3
    write_shaped(student, task.schema, tmp_path / "kept", student.network)
    again = read_shaped(tmp_path / "kept", task.schema)
    assert again.base == student.base != before.base
    with torch.no_grad():
        assert torch.equal(again.network(x), student.network(x))


def test_what_was_learned_before_a_kill_is_not_learned_again(
    before, task, tmp_path, few_draws, monkeypatch
):
    whole, _, all_said = lessons(before, task, tmp_path / "whole", "params <= 12 k")
    teach, names = Retraining.teach, []

    def interrupted(self, network, recipe, units, *, name):
        if len(names) == 4:
            raise KeyboardInterrupt
        names.append(name)
        teach(self, network, recipe, units, name=name)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Retraining, "teach", interrupted)
        lessons(before, task, tmp_path / "torn", "params <= 12 k")
    kept = sorted((tmp_path / "torn" / "students").glob("*.json"))
    assert sum("accuracy" in json.loads(p.read_text())["measurements"] for p in kept) == 4
    student, _, said = lessons(before, task, tmp_path / "torn", "params <= 12 k")
    assert said == all_said[4:]
    assert student.base == whole.base
    ours, theirs = student.network.state_dict(), whole.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_bounds_that_nothing_keeps_are_said(before, task, tmp_path, few_draws):
    with pytest.raises(CannotCut, match="keeps to the bounds"):
        lessons(before, task, tmp_path, "params <= 3")


def test_a_student_of_a_robust_network_is_trained_against_changed_inputs(before, task, tmp_path):
    robust = replace(LARGE.recipe, adversarial="pgd", radius=0.05, attack_steps=1)
    shaped = replace(before, base=replace(LARGE, recipe=robust))
    student, *_ = lessons(shaped, task, tmp_path, "params <= 9 k", steps=20)
    assert (student.base.recipe.adversarial, student.base.recipe.radius) == ("pgd", 0.05)


def test_no_more_steps_are_taken_than_there_are(before, task, tmp_path):
    budget = Budget.parse("5 steps")
    train = Retraining(before.network, task, budget, folder=tmp_path, seed=0)
    train.units, network = 7.0, copy.deepcopy(before.network)
    for name in "abcdefg":
        train(network, 1.0, recipe=LARGE.recipe, name=name)
    assert train.spent == 5
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    train(network, 1.0, recipe=LARGE.recipe, name="h")
    assert all(torch.equal(tensor, kept[n]) for n, tensor in network.state_dict().items())


def test_cuts_that_cannot_be_had_say_which(before, task, tmp_path):
    train = Retraining(before.network, task, Budget.parse("9 steps"), folder=tmp_path, seed=0)

    def thin(shaped, share):
        chains = Chains(
            shaped, task, (), train=train, folder=tmp_path, seed=0, fast=True,
            journal=Journal(tmp_path / "log.jsonl"),
        )  # fmt: skip
        return chains._thin(shaped, "channels", share=share, shy=set())

    with pytest.raises(AlreadyThere, match="100 % of the multiply-accumulates are there"):
        thin(before, 1.0)
    with pytest.raises(CannotCut, match="do not lead to 0 % of the multiply-accumulates"):
        thin(before, 1e-5)
    with pytest.raises(CannotCut, match="no multiply-accumulates that channels could save"):
        thin(Shaped(nn.Flatten(), LARGE), 0.5)
