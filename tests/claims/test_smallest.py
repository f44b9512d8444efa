"""The claim about the smallest file, on few rows and few steps."""

from dataclasses import replace

import pytest
import torch

from netwright import _rng
from netwright.claims import _few_bytes, smallest
from netwright.claims._few_bytes import Effort, folded, lessons, shrink, student
from netwright.compress import encode, learn_steps, plain_state
from netwright.data import TensorSplit, load

BRIEF = Effort(widths=(2, 3, 4), copies=2, taught=1, passes=2, rounded=2, bits=4)


@pytest.mark.claim
@pytest.mark.slow
def test_claim_is_met(shared_data):
    found = smallest.run(full=False, seed=0)
    assert found.judgement.verdict == "met", found.summary


def few(split, n):
    return TensorSplit(split.x[:n], split.y[:n], split.rows[:n])


@pytest.fixture
def brief(monkeypatch, mnist_of):
    task = mnist_of(200)
    task = replace(task, train=few(task.train, 600))
    monkeypatch.setattr(smallest, "load", lambda name, seed: task)
    monkeypatch.setattr(smallest, "_QUICK", BRIEF)


def test_the_file_shrinks_stage_by_stage_and_is_counted_whole(brief):
    found = smallest.run(full=False, seed=1000)
    stages, tensors = found.evidence
    assert [row[0] for row in stages.rows] == [
        "trained",
        "normalisation taken into the weights",
        "whole steps, 4 bits",
    ]
    sizes = [row[3] for row in stages.rows]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == found.measurement.value
    assert sum(row[4] for row in tensors.rows) + 10 == sizes[-1]  # the file as such takes ten
    assert all(row[3] <= 16 for row in tensors.rows if row[0].endswith("weight"))
    assert found.judgement.verdict == "broken"  # after ten steps


@pytest.mark.parametrize(("most", "verdict"), [(5000, "met"), (20, "broken")])
def test_a_file_that_is_too_large_breaks_the_claim(brief, monkeypatch, most, verdict):
    monkeypatch.setattr(smallest, "_LEAST_QUICK", 0.0)
    monkeypatch.setattr(smallest, "_MOST", most)
    assert smallest.run(full=False, seed=1000).judgement.verdict == verdict


def test_few_rows_are_learned_by_heart():
    digits = few(load("digits", seed=0).train, 256)
    images = torch.nn.functional.interpolate(digits.x.float(), size=28).to(torch.uint8)
    effort = replace(BRIEF, widths=(4, 8, 12), taught=0, passes=60, rounded=30)
    given = _few_bytes.Lessons([images], digits.y)
    stages = shrink(given, effort, seed=0)
    with torch.no_grad():
        right = [(s.network(images / 255).argmax(1) == digits.y).float().mean() for s in stages]
    assert min(right) > 0.7  # the commonest class: 0.1
    assert len(encode(plain_state(stages[-1].network))) < 900


def test_normalisation_goes_into_the_weights_unseen():
    with _rng.seeded(0):
        network = student((2, 3, 4))
        x = torch.rand(8, 1, 28, 28)
        with torch.no_grad():
            network(x)  # statistics other than those at the start
    network.eval()
    assert torch.allclose(folded(network)(x), network(x), atol=1e-5)
    assert not any("running" in name for name in plain_state(folded(network)))


def test_bits_cost_and_pull_weights_to_zero():
    with _rng.seeded(0):
        network = folded(student((2, 3, 4)).eval())
    learn_steps(network, dict.fromkeys(plain_state(network), 4))
    price = _few_bytes._price(network)
    before = price()
    before.backward()
    weight = network[0].parametrizations.weight
    assert (weight.original.grad.sign() == weight.original.sign()).all()
    assert weight[0].step.grad < 0  # a wider step takes fewer bits
    for layer in (0, 2, 5, 9):
        network[layer].parametrizations.weight.original.data.zero_()
    assert before > 0 and price() == 0


def test_copies_are_changed_images_and_each_has_its_logits():
    train = few(load("digits", seed=0).train, 300)
    images = torch.nn.functional.interpolate(train.x.float(), size=28).to(torch.uint8)
    found = lessons(TensorSplit(images, train.y, train.rows), BRIEF, seed=0)
    assert [c.shape for c in found.copies] == [images.shape] * 2
    assert found.copies[0].dtype == torch.uint8
    assert not torch.equal(found.copies[0], found.copies[1])
    assert [logits.shape for logits in found.logits] == [(300, 10)] * 2


class Streamed:
    """Rows that are read when they are asked for."""

    rows = y = torch.zeros(4)
    groups: dict[str, tuple[str, ...]] = {}

    def __len__(self):
        return 4

    def take(self, places):
        return torch.zeros(len(places), 1, 28, 28)

    def batches(self, batch_size, *, generator=None, drop_last=False):
        yield self.take(range(4)), self.y


def test_rows_must_lie_in_memory():
    with pytest.raises(TypeError, match="must lie in memory.*Streamed"):
        lessons(Streamed(), BRIEF, seed=0)
