import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.compress import (
    attention_transfer,
    distil,
    hint,
    hinton,
    soft_targets,
    taught_by,
)
from netwright.data import Target, load
from netwright.data._task import TensorSplit
from netwright.design.families import residual_cnn
from netwright.learn import loss_for


def rows_of(x, y):
    return TensorSplit(x, y, torch.arange(len(y)))


def mlp(*widths):
    with _rng.seeded(0):
        layers = [nn.Flatten()]
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.fixture(scope="module")
def task():
    return load("digits")


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.oracle
def test_soft_targets_are_the_divergence_of_softened_probabilities():
    ours, theirs, temperature = drawn(7, 5), drawn(7, 5, seed=1), 3.0
    p, q = (theirs / temperature).softmax(1), (ours / temperature).softmax(1)
    expected = (p * (p / q).log()).sum(1).mean() * temperature**2
    assert soft_targets(ours, theirs, temperature=temperature) == pytest.approx(expected.item())


@pytest.mark.oracle
def test_at_high_temperature_logits_are_matched():
    # Hinton et al., equation 4: the gradient tends to (z - v) / N for logits of mean zero; per
    # example of a batch, with the square of the temperature taken back.
    ours = drawn(6, 4).sub(drawn(6, 4).mean(1, keepdim=True)).double().requires_grad_()
    theirs = drawn(6, 4, seed=1).sub(drawn(6, 4, seed=1).mean(1, keepdim=True)).double()
    soft_targets(ours, theirs, temperature=1e4).backward()
    assert torch.allclose(ours.grad * 6, (ours - theirs).detach() / 4, atol=1e-3)


@pytest.mark.oracle
def test_the_gradient_at_any_temperature_is_the_difference_of_probabilities():
    ours, theirs = drawn(6, 4).requires_grad_(), drawn(6, 4, seed=1)
    soft_targets(ours, theirs, temperature=2.0).backward()
    expected = 2.0 * ((ours / 2).softmax(1) - (theirs / 2).softmax(1)) / 6
    assert torch.allclose(ours.grad, expected.detach(), atol=1e-6)


@pytest.mark.oracle
def test_attention_does_not_depend_on_scale_or_number_of_channels():
    maps = drawn(3, 4, 5, 5)
    assert attention_transfer(7 * maps.repeat(1, 2, 1, 1), maps) < 1e-12
    other = drawn(3, 4, 5, 5, seed=1)
    a, b = (m.square().sum(1).flatten(1) for m in (maps, other))
    expected = (a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)).square().mean()
    assert attention_transfer(maps, other) == pytest.approx(expected.item(), rel=1e-5)
    assert attention_transfer(drawn(3, 2, 5, 5), drawn(3, 4, 10, 10)).ndim == 0


def test_gradients_pass_to_the_student_alone():
    for loss, shape in ((hint, (2, 3)), (attention_transfer, (2, 3, 4, 4))):
        ours, theirs = drawn(*shape).requires_grad_(), drawn(*shape, seed=1).requires_grad_()
        loss(ours, theirs).backward()
        assert ours.grad is not None and theirs.grad is None


def test_a_student_learns_more_from_a_teacher_than_from_few_labels(task):
    x, y = task.train.take(slice(None)), task.train.y
    test_x, test_y = task.validation.take(slice(None)), task.validation.y
    teacher, taught, alone = mlp(64, 128, 10), mlp(64, 24, 10), mlp(64, 24, 10)
    settings = {"steps": 200, "seed": 0, "learning_rate": 0.01}
    labels = hinton(share=0.0)
    distil(teacher, teacher, rows_of(x, y), **settings, loss=labels)
    few = rows_of(x[:40], y[:40])
    distil(alone, teacher, few, **settings, loss=labels)
    nothing = rows_of(x, torch.full_like(y, -1))  # no labels at all
    distil(taught, teacher, nothing, **settings, loss=hinton(share=1.0))

    def right(network):
        return (network(test_x).argmax(1) == test_y).float().mean().item()

    assert right(taught) > right(alone) + 0.05
    assert right(taught) > right(teacher) - 0.05


def test_features_and_attention_teach_what_they_compare(task):
    schema = task.schema
    with _rng.seeded(0):
        teacher = residual_cnn(schema, widths=(8, 8, 8)).eval()
        student = residual_cnn(schema, widths=(4, 4, 4))
        widen = nn.Conv2d(4, 8, 1)
    names = ("stage1", "stage2")
    x = task.train.take(slice(64))

    def loss(ours, theirs, y):
        looks = attention_transfer(ours.features["stage1"], theirs.features["stage1"])
        return 10 * looks + hint(widen(ours.features["stage2"]), theirs.features["stage2"])

    before = widen.weight.detach().clone()
    found = distil(
        student, teacher, rows_of(x, torch.zeros(64)), steps=40, seed=0, loss=loss, watch=names,
        watch_teacher=names, helpers=[widen],
    )  # fmt: skip
    assert found.losses[-1] < 0.7 * found.losses[0]
    assert not torch.equal(before, widen.weight)
    assert not any(m._forward_hooks for net in (student, teacher) for m in net.modules())
    assert not student.training and not teacher.training


def test_the_same_seed_gives_the_same_student(task):
    rows = rows_of(task.train.take(slice(64)), task.train.y[:64])
    networks = [mlp(64, 8, 10) for _ in range(2)]
    for network in networks:
        network.insert(1, nn.Dropout(0.5))
        distil(network, mlp(64, 16, 10), rows, steps=5, seed=3)
    assert torch.equal(*(network[-1].weight for network in networks))


def test_errors_say_what_is_wrong(task):
    rows = rows_of(task.train.take(slice(8)), task.train.y[:8])
    small = mlp(64, 4, 10)
    with pytest.raises(ValueError, match="`temperature` must be positive; got 0"):
        soft_targets(torch.ones(1, 2), torch.ones(1, 2), temperature=0)
    with pytest.raises(ValueError, match=r"`share` must lie in \[0, 1\]; got 2"):
        hinton(share=2)
    with pytest.raises(ValueError, match="no module `stage9`; it has 0, 1"):
        distil(small, small, rows, steps=1, seed=0, watch=["stage9"])
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        distil(small, small, rows, steps=0, seed=0)
    # Planted: labels that are no classes are noticed where they are looked at.
    with pytest.raises((ValueError, IndexError, RuntimeError)):
        distil(small, small, rows_of(rows.x, rows.y - 50), steps=1, seed=0, loss=functional_loss)


def functional_loss(student, teacher, y):
    return functional.cross_entropy(student.logits, y)


@pytest.mark.parametrize("kind", ["class", "labels", "value"])
def test_a_whole_share_follows_the_teacher_and_none_follows_the_rows(kind):
    names = ("a", "b", "c") if kind != "value" else ("a",)
    stated = {"mean": (0.0,), "std": (2.0,)} if kind == "value" else {"classes": names}
    target = Target(kind, names if kind == "labels" else ("t",), **stated)
    with _rng.seeded(0):
        teacher = nn.Sequential(nn.Linear(4, len(names)), nn.Dropout(0.5))
    outputs, x = drawn(6, len(names)).requires_grad_(), drawn(6, 4, seed=1)
    y = {"class": torch.arange(6) % 3, "labels": (drawn(6, 3, seed=2) > 0).float()}
    y = y.get(kind, drawn(6, 1, seed=2))
    rows = taught_by(teacher, target, share=0.0)(outputs, x, y)
    assert torch.allclose(rows, loss_for(target)(outputs, y))
    with torch.no_grad():
        same = teacher.eval()(x)
    teacher.train()
    followed = taught_by(teacher, target, share=1.0)
    assert teacher.training
    (pull,) = torch.autograd.grad(followed(outputs, x, y), outputs)
    assert (pull * (outputs - same)).sum() > 0  # down the gradient is towards the teacher
    at_rest = same.clone().requires_grad_()
    (pull,) = torch.autograd.grad(followed(at_rest, x, y), at_rest)
    assert pull.abs().max() < 1e-6
