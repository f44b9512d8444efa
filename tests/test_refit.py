"""A second training on the validation rows too, once they have chosen."""

import dataclasses

import pytest
import torch

from netwright import data
from netwright._journal import Journal
from netwright._refit import joined, refit
from netwright._search import Found
from netwright.design import Choice, Design, build_network
from netwright.learn import Budget, Recipe

STEPS = 45
RECIPE = Recipe(learning_rate=1e-2, batch_size=32, epochs=4)


@pytest.fixture(scope="module")
def task():
    return data.load("iris", seed=0)


def begun(task, folder, recipe=RECIPE, *, step=20, flawed=False):
    """The state of a run whose search has just chosen."""
    design = Design("MLP", "table_mlp", {"width": 16}, recipe)
    network = build_network(design, task.schema, seed=0)
    if flawed:
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
    (folder / "candidates" / "003").mkdir(parents=True)
    journal = Journal(folder / "log.jsonl")
    journal.record("epoch", number=3, step=step, seconds=0.1)
    choice = Choice.__new__(Choice)
    return Found(network, design, 3, (), choice), journal


def again(found, task, folder, journal, steps=STEPS):
    limit = Budget(steps=steps)
    return refit(found, task, limit, folder=folder, journal=journal, seed=0, device="cpu")


def weights(found):
    return torch.cat([p.detach().flatten() for p in found.network.parameters()])


def test_a_network_that_is_no_worse_takes_the_place(task, tmp_path):
    found, journal = begun(task, tmp_path, flawed=True)
    made = again(found, task, tmp_path, journal)
    assert not torch.equal(weights(made), weights(found))
    (said,) = journal.find("refitted")
    n = len(task.train) + len(task.validation)
    assert said.facts["rows"] == n and said.facts["kept"]
    assert said.facts["text"].startswith(
        f"Trained again on {n} rows, the {len(task.validation)} of"
    )


def test_a_worse_network_does_not(task, tmp_path):
    # Steps too large to learn anything, against a network that has learned.
    good, journal = begun(task, tmp_path / "good", flawed=True)
    good = again(good, task, tmp_path / "good", journal)
    found, journal = begun(task, tmp_path / "bad", dataclasses.replace(RECIPE, learning_rate=1e4))
    found = dataclasses.replace(found, network=good.network)
    made = again(found, task, tmp_path / "bad", journal)
    assert made is found and not journal.find("refitted")[-1].facts["kept"]
    assert "is kept" in journal.find("refitted")[-1].facts["text"]
    assert again(found, task, tmp_path / "bad", journal) is found  # nor when the run is resumed


def test_a_resumed_run_reads_it_back(task, tmp_path):
    found, journal = begun(task, tmp_path, flawed=True)
    first = again(found, task, tmp_path, journal)
    second = again(found, task, tmp_path, journal)
    assert torch.equal(weights(first), weights(second)) and len(journal.find("refitted")) == 1


@pytest.mark.parametrize(
    "recipe, steps, step", [(dataclasses.replace(RECIPE, epochs=0), STEPS, 20), (RECIPE, 42, 20)]
)
def test_without_an_end_or_enough_steps_nothing_happens(task, tmp_path, recipe, steps, step):
    # 20 steps are taken; so many for the training rows are 22.5 for all.
    found, journal = begun(task, tmp_path, recipe, step=step)
    assert again(found, task, tmp_path, journal, steps) is found
    assert not journal.find("refitted")


def test_joined_rows_keep_order_and_groups(task):
    split = dataclasses.replace(task.train, groups={"g": ("a",) * len(task.train)})
    other = dataclasses.replace(task.validation, groups={"g": ("b",) * len(task.validation)})
    rows = joined(split, other)
    assert torch.equal(rows.rows, torch.cat([split.rows, other.rows]))
    assert rows.groups["g"] == ("a",) * len(split) + ("b",) * len(other)
