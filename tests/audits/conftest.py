import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Column, Input, Schema, Target, TensorSplit
from netwright.measure import Subject

CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def classifier_subject():
    """Make a subject whose outputs are given: inputs are outputs, the network is identity."""

    def make(logits, y, *, classes=CLASSES, groups=None, **kwargs):
        columns = tuple(Column(f"column {i}", "number") for i in range(logits.shape[1]))
        names = tuple(groups or {})
        kind = "labels" if y.is_floating_point() else "class"
        target = Target(kind, ("kind",), classes=classes)
        schema = Schema(Input("table", tuple(logits.shape[1:]), columns=columns), target, names)
        split = TensorSplit(logits, y, torch.arange(len(y)) + 100, groups or {})
        return Subject(schema, split, nn.Identity().eval(), **kwargs)

    return make


@pytest.fixture
def regression_subject():
    """Make a subject whose predictions are given."""

    def make(predicted, y, **kwargs):
        width = y.shape[1]
        columns = tuple(Column(f"column {i}", "number") for i in range(width))
        names = ("price", "weight", "height")[:width]
        target = Target(
            "value" if width == 1 else "values", names, (), (0.0,) * width, (1.0,) * width
        )
        split = TensorSplit(predicted, y, torch.arange(len(y)) + 100)
        schema = Schema(Input("table", (width,), columns=columns), target)
        return Subject(schema, split, nn.Identity().eval(), **kwargs)

    return make


@pytest.fixture
def noisy_logits(generator):
    """Make logits of `n` rows whose largest is the true class with probability `rate`."""

    def make(n, rate, n_classes=3, scale=4.0):
        y = torch.randint(n_classes, (n,), generator=generator)
        right = torch.rand(n, generator=generator) < rate
        shift = torch.randint(1, n_classes, (n,), generator=generator)
        said = torch.where(right, y, (y + shift) % n_classes)
        noise = torch.rand(n, n_classes, generator=generator)
        return scale * nn.functional.one_hot(said, n_classes).float() + noise, y

    return make


@pytest.fixture(scope="session")
def digits():
    """The bundled digits, split."""
    from netwright.data import load

    return load("digits", seed=0)


@pytest.fixture(scope="session")
def digits_network(digits):
    """A small network that reads digits: about 0.97 of them."""
    x, y = digits.train.take(slice(None)), digits.train.y
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return network.eval()


@pytest.fixture
def digits_subject(digits, digits_network):
    """The small network on the validation rows of digits."""
    return Subject(digits.schema, digits.validation, digits_network)
