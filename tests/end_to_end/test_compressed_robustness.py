"""A network whose robustness compression destroys, and nothing else: the report must show it.

Three pixels of the digits are dark in every image. The network reads each of them twice, with two
large weights that cancel; in eight bits they do so no longer. No image that exists tells the
difference, but an attacker may light these pixels a little.
"""

import pytest
import torch
from torch import nn

from netwright import _compress, _compress_search
from netwright._compress import compress
from netwright.audits.attack import LinfBall, pgd
from netwright.audits.quality import performance
from netwright.data import load
from netwright.design import Design, build_network
from netwright.finding import Finding
from netwright.learn import Recipe, fit
from netwright.measure import proportion

from .small_compression import finished_run

DARK = (0, 32, 39)  # places in the image, row by row
DESIGN = Design(
    "planted", "plain_cnn", {"widths": [2], "strides": [1], "hidden": 25},
    Recipe(learning_rate=0.01, weight_decay=0.0, batch_size=64),
)  # fmt: skip
LARGE, LOUD = 3000.0, 3.0
RATIO = 38.52 / 127  # of the smaller weight to the larger: eight bits round it up by 1.2 %


@torch.no_grad()
def look_at_pixels(network, task):
    """Both channels become the image itself, the second one fainter, and stay so."""
    (mean,), (std,) = task.schema.input.mean, task.schema.input.std
    network.conv1.weight.zero_()
    for channel, scale in enumerate((1.0, RATIO)):
        network.conv1.weight[channel, 0, 1, 1] = scale
        network.conv1.bias[channel] = scale * mean / std  # darkness is 0
    network.conv1.requires_grad_(False)


@torch.no_grad()
def plant(network: nn.Module) -> None:
    """The last hidden unit sums what cancels, and says 0 aloud if it is not nothing."""
    weight, head = network.hidden.weight, network.head.weight
    weight[:-1, list(DARK)] = 0.0
    weight[:-1, [64 + place for place in DARK]] = 0.0
    weight[-1] = 0.0
    network.hidden.bias[-1] = 0.0
    weight[-1, list(DARK)] = RATIO * LARGE
    weight[-1, [64 + place for place in DARK]] = -LARGE
    head[:, -1] = 0.0
    head[0, -1] = LOUD


@pytest.mark.parametrize("is_planted", [True, False], ids=["planted", "honest"])
def test_a_destroyed_robustness_is_shown(is_planted, tmp_path, monkeypatch):
    task = load("digits", seed=0)
    assert not task.train.take(range(len(task.train))).flatten(1)[:, list(DARK)].any()
    network = build_network(DESIGN, task.schema, seed=0)
    look_at_pixels(network, task)
    fit(
        network, task.train, task.validation, target=task.schema.target, recipe=DESIGN.recipe,
        steps=300, seed=0, device="cpu",
    )  # fmt: skip
    if is_planted:
        plant(network)
    run = finished_run(tmp_path / "run", network, DESIGN, task, robustness)
    monkeypatch.setattr(_compress_search, "orders", lambda requirements: ())
    monkeypatch.setattr(_compress_search.Search, "_finish", eight_bits_only)
    monkeypatch.setattr(_compress, "audit_subject", questions)
    require = ["size <= 6 kB"]
    made = compress(run.folder, require=require, budget="1 steps", out=tmp_path / "small")
    found = {f.name: f for f in made.findings}
    assert found["compression"].summary.startswith("Int8")
    before, after = (
        next(f for f in r.findings if f.name == "performance").measurement for r in (run, made)
    )
    assert after.value > before.value - 0.03 and before.value > 0.85
    (table,) = found["before_and_after"].evidence
    assert [row[0] for row in table.rows] == ["How well the network predicts", "Small changes"]
    shown = "Small changes" in found["before_and_after"].summary
    assert shown == is_planted, table.rows
    if is_planted:  # two intervals of 64 rows that do not meet
        was = next(f for f in run.findings if f.name == "robustness").measurement
        assert found["robustness"].measurement.high < was.low


def robustness(subject):
    """Accuracy of what is audited under small changes; gradients are its network's."""
    x, y = subject.split.take(range(64)), subject.split.y[:64]
    generator = torch.Generator().manual_seed(0)
    found = pgd(
        subject.network, x, y, ball=LinfBall(8 / 255), n_steps=10, levels=255, generator=generator
    )
    with torch.no_grad():
        right = (subject.predict or subject.network)(found.x).argmax(1) == y
    return Finding("robustness", "Small changes", "", proportion(int(right.sum()), 64))


def questions(subject, *args, **kwargs):
    generator = torch.Generator().manual_seed(0)
    return performance(subject, generator=generator), robustness(subject)


def eight_bits_only(search, node, *, most, units=0.0):
    made = _compress_search.shipped(node.shaped(), search._task)
    search._try(
        "int8",
        {},
        lambda: _compress_search.eight_bits(made, search._feed),
        origin=(node, most),
    )
