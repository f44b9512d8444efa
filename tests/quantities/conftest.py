import dataclasses

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright._rng import seeded
from netwright.artefact import Session, write
from netwright.data import load
from netwright.measure import Subject


def fit(network, split, loss, steps=150):
    """Full-batch Adam: enough for a network worth measuring, in a second."""
    x = split.take(range(len(split)))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(network(x), split.y).backward()
        optimiser.step()
    return network.eval()


@pytest.fixture(scope="session")
def ship(tmp_path_factory):
    """Give a subject a file, run by ONNX Runtime."""

    def write_and_load(subject):
        sample, folder = subject.split.take(range(2)), tmp_path_factory.mktemp("shipped")
        written = write(subject.network, subject.schema, design="{}", folder=folder, sample=sample)
        predict = Session(written.onnx).predict
        return dataclasses.replace(subject, artefact=written.onnx, predict=predict)

    return write_and_load


@pytest.fixture(scope="session")
def digits():
    task = load("digits")
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        fit(network, task.train, F.cross_entropy)
    return Subject(task.schema, task.test.open("tests"), network)


@pytest.fixture(scope="session")
def shipped_digits(digits, ship):
    return ship(digits)


@pytest.fixture(scope="session")
def people():
    """A table with categories, missing cells and two group columns; group B is served worse."""
    generator = torch.Generator().manual_seed(1)
    n = 1200
    age = torch.randn(n, generator=generator)
    town = torch.randint(3, (n,), generator=generator)
    worse = torch.rand(n, generator=generator) < 0.4
    noise = torch.where(worse, 1.5, 0.2) * torch.randn(n, generator=generator)
    frame = pd.DataFrame(
        {
            "age": age.numpy(),
            "town": [["Ulm", "Köln", "Bonn"][i] for i in town],
            "sex": ["B" if w else "A" for w in worse],
            "region": ["only"] * n,
            "buys": ["yes" if v > 0 else "no" for v in age + 0.3 * (town - 1) + noise],
        }
    )
    frame.loc[::17, "age"] = None
    frame.loc[::13, "town"] = None
    return load(frame, target="buys", by=["sex", "region"])


class Columns(nn.Module):
    """A network for a table of numbers and categories: missing is 0, categories are one-hot."""

    def __init__(self, task):
        super().__init__()
        self.sizes = [len(c.categories) + 1 for c in task.schema.input.columns]
        width = sum(s if s > 1 else 1 for s in self.sizes)
        self.out = nn.Linear(width, task.schema.target.width)

    def forward(self, x):
        parts = []
        for i, size in enumerate(self.sizes):
            column = x[:, i]
            if size == 1:
                parts.append(torch.nan_to_num(column)[:, None])
            else:
                parts.append((column[:, None] == torch.arange(float(size))).to(x.dtype))
        return self.out(torch.cat(parts, 1))


@pytest.fixture(scope="session")
def buyers(people):
    with seeded(0):
        network = fit(Columns(people), people.train, F.cross_entropy)
    return Subject(people.schema, people.test.open("tests"), network)


@pytest.fixture(scope="session")
def reviews():
    words = ["good", "bad", "film", "the", "was", "plot", "fine", "dull"]
    generator = torch.Generator().manual_seed(2)
    draws = torch.randint(len(words), (200, 6), generator=generator)
    frame = pd.DataFrame(
        {
            "text": [" ".join(words[i] for i in row) for row in draws],
            "label": ["pos" if (row % 2 == 0).sum() > 3 else "neg" for row in draws],
        }
    )
    task = load(frame, target="label", text="text")
    with seeded(0):
        bag = nn.Embedding(len(task.schema.input.vocabulary) + 2, 2)

        class Bag(nn.Module):
            def __init__(self):
                super().__init__()
                self.bag = bag

            def forward(self, x):
                return self.bag(x).sum(1)

        network = fit(Bag(), task.train, F.cross_entropy)
    return Subject(task.schema, task.test.open("tests"), network)


@pytest.fixture(scope="session")
def diabetes():
    task = load("diabetes")
    mean = torch.tensor(task.schema.target.mean)
    with seeded(0):
        network = nn.Linear(len(task.schema.input.columns), 1)
        nn.init.zeros_(network.weight)
    with torch.no_grad():
        network.bias.copy_(mean)
    return Subject(task.schema, task.test.open("tests"), network.eval())
