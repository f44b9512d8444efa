import dataclasses
import datetime
import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright._rng import seeded
from netwright.artefact import write
from netwright.data import load, write_split
from netwright.finding import Finding, Measurement
from netwright.nn import Calibrated
from netwright.report import findings_to_json
from netwright.serve import Engine, Log, create_app, open_model, read_reference
from tests.serve.http import serving


def fit(network, split, loss=F.cross_entropy, steps=150):
    x = split.take(range(len(split)))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(network(x), split.y).backward()
        optimiser.step()
    return network.eval()


def ship(network, task, folder):
    write(network, task.schema, design="{}", folder=folder, sample=task.train.take(range(2)))
    return folder / "model.onnx"


@pytest.fixture(scope="session")
def digits_task():
    return load("digits")


@pytest.fixture(scope="session")
def digits_file(digits_task, tmp_path_factory):
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
        fit(network, digits_task.train)
    network = Calibrated(network, 1.25).eval()
    return ship(network, digits_task, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def digits_run(digits_file, digits_task):
    """The folder of the file made a run's, by the files that serving reads."""
    folder = digits_file.parent
    found = Finding(
        name="calibration",
        title="Do probabilities come true?",
        summary="Off by 0.02.",
        measurement=Measurement(0.02, 0.01, 0.03, 359),
    )
    write_split(digits_task, folder)
    (folder / "findings.json").write_text(findings_to_json([found]))
    (folder / "job.json").write_text(json.dumps({"source": "digits", "seed": 0}))
    return folder


@pytest.fixture(scope="session")
def digits_model(digits_file):
    return open_model(digits_file)


@pytest.fixture(scope="session")
def digits_reference(digits_model):
    return read_reference(digits_model, "digits")


class Columns(nn.Module):
    """Numbers standardised, missing as the mean, categories one-hot."""

    def __init__(self, columns, outputs):
        super().__init__()
        self.sizes = [len(c.categories) + 1 for c in columns]
        self.register_buffer("mean", torch.tensor([c.mean for c in columns]))
        self.register_buffer("std", torch.tensor([c.std for c in columns]))
        self.out = nn.Linear(sum(s if s > 1 else 1 for s in self.sizes), outputs)

    def forward(self, x):
        parts = []
        for i, size in enumerate(self.sizes):
            if size == 1:
                number = torch.where(x[:, i].isnan(), self.mean[i], x[:, i])
                parts.append(((number - self.mean[i]) / self.std[i])[:, None])
            else:
                parts.append((x[:, i][:, None] == torch.arange(float(size))).to(x.dtype))
        return self.out(torch.cat(parts, 1))


@pytest.fixture(scope="session")
def people_frame():
    draw = np.random.default_rng(0)
    n = 600
    age = draw.normal(40, 12, n).round(1)
    frame = pd.DataFrame(
        {
            "age": age,
            "town": draw.choice(["Bonn", "Köln", "Ulm"], n),
            "member": draw.random(n) < 0.5,
            "joined": [
                datetime.date(2020, 1, 1) + datetime.timedelta(days=int(d))
                for d in draw.integers(0, 900, n)
            ],
            "buys": np.where(age + draw.normal(0, 4, n) > 40, "yes", "no"),
        }
    )
    frame.loc[::11, "age"] = None
    return frame


@pytest.fixture(scope="session")
def people_model(people_frame, tmp_path_factory):
    task = load(people_frame, target="buys")
    with seeded(0):
        network = fit(Columns(task.schema.input.columns, 2), task.train)
    return open_model(ship(network, task, tmp_path_factory.mktemp("people")))


@pytest.fixture(scope="session")
def words_frame():
    words = ["good", "bad", "film", "the", "was", "plot", "fine", "dull"]
    draw = np.random.default_rng(1).integers(0, len(words), (200, 6))
    return pd.DataFrame(
        {
            "text": [" ".join(words[i] for i in row) for row in draw],
            "label": ["pos" if (row % 2 == 0).sum() > 3 else "neg" for row in draw],
        }
    )


class Bag(nn.Module):
    def __init__(self, words, outputs):
        super().__init__()
        self.bag = nn.Embedding(words, outputs)

    def forward(self, x):
        return self.bag(x).sum(1)


@pytest.fixture(scope="session")
def words_model(words_frame, tmp_path_factory):
    task = load(words_frame, target="label", text="text")
    with seeded(0):
        network = fit(Bag(len(task.schema.input.vocabulary) + 2, 2), task.train)
    return open_model(ship(network, task, tmp_path_factory.mktemp("words")))


@pytest.fixture(scope="session")
def prices_model(people_frame, tmp_path_factory):
    task = load(people_frame.dropna().drop(columns="buys"), target="age")
    with seeded(0):
        network = fit(Columns(task.schema.input.columns, 1), task.train, F.mse_loss, 20)
    return open_model(ship(network, task, tmp_path_factory.mktemp("prices")))


@pytest.fixture
def serve(tmp_path):
    """Serve a model for one test; settings of the engine and of the application by name."""
    stack, logs = [], []

    def start(model, *, reference=None, log=True, **more):
        log = Log(f"sqlite:///{tmp_path / f'{len(logs)}.db'}") if log is True else log
        logs.append(log)
        names = ("batch_rows", "batch_wait", "queue_rows", "time_limit", "keep_inputs")
        mine = {name: more.pop(name) for name in names if name in more}
        engine = Engine(model, log=log, reference=reference, **mine)
        running = serving(create_app(engine, **more))
        client = running.__enter__()
        client.engine = engine
        stack.append(running)
        return client

    yield start
    for running in reversed(stack):
        running.__exit__(None, None, None)


@pytest.fixture(scope="module")
def shared(request):
    """Start a server that the tests of one file share."""
    stack = []

    def start(model, **more):
        engine = Engine(model, log=more.pop("log", None), reference=more.pop("reference", None))
        running = serving(create_app(engine, **more))
        client = running.__enter__()
        client.engine = engine
        stack.append(running)
        return client

    yield start
    for running in reversed(stack):
        running.__exit__(None, None, None)


@pytest.fixture
def digit(digits_task):
    """Pixels of one validation image, uint8 (1, 8, 8)."""
    return (digits_task.validation.take([3])[0] * 255).round().to(torch.uint8).numpy()


class Steps(nn.Module):
    """Convolve present values, and average over the steps that are there."""

    def __init__(self, channels, outputs):
        super().__init__()
        self.filters = nn.Conv1d(channels, 8, 5, padding=2)
        self.out = nn.Linear(16, outputs)

    def forward(self, x):
        present = (~x.isnan()).to(x.dtype).amax(1, keepdim=True)
        found = torch.relu(self.filters(torch.where(x.isnan(), 0.0, x))) * present
        mean = found.sum(2) / present.sum(2).clamp(min=1)
        return self.out(torch.cat([mean, found.amax(2)], 1))


def waves(channels, n=200, seed=0):
    """Sines, fast or slow, of 40 to 60 steps; further channels are noise."""
    draw = np.random.default_rng(seed)
    fast = draw.integers(0, 2, n)
    rows = []
    for kind in fast:
        t = np.arange(draw.integers(40, 61)) * (0.2 + 0.6 * kind)
        noise = draw.normal(0, 0.3, (channels - 1, len(t)))
        rows.append(np.vstack([np.sin(t + draw.uniform(0, 6)), noise]).astype(np.float32))
    return rows, np.array(["slow", "fast"])[fast]


@pytest.fixture(scope="session")
def waves_model(tmp_path_factory):
    """Two channels."""
    task = load(waves(2), schema={"x": "sequence"})
    with seeded(0):
        network = fit(Steps(2, 2), task.train, steps=60)
    return open_model(ship(network, task, tmp_path_factory.mktemp("waves")))


@pytest.fixture(scope="session")
def tones_task():
    """One channel, of 100 samples a second."""
    task = load(waves(1), schema={"x": "sequence"})
    inputs = dataclasses.replace(task.schema.input, rate=100.0)
    return dataclasses.replace(task, schema=dataclasses.replace(task.schema, input=inputs))


@pytest.fixture(scope="session")
def tones_model(tones_task, tmp_path_factory):
    with seeded(0):
        network = fit(Steps(1, 2), tones_task.train, steps=60)
    return open_model(ship(network, tones_task, tmp_path_factory.mktemp("tones")))


@pytest.fixture(scope="session")
def chains_frame():
    """Chains of letters, whose class is that of a motif of small or capital letters."""
    draw = np.random.default_rng(2)
    rows = []
    for i in range(240):
        chain = draw.choice(list("ACGTacgt"), draw.integers(18, 30))
        chain[5:9] = list("GATC" if i % 2 else "gatc")
        rows.append("".join(chain))
    return pd.DataFrame({"dna": rows, "label": ["small", "large"] * 120})


class Motifs(nn.Module):
    """Look for runs of five characters."""

    def __init__(self, characters, outputs):
        super().__init__()
        self.vectors = nn.Embedding(characters, 8, padding_idx=0)
        self.filters = nn.Conv1d(8, 16, 5, padding=2)
        self.out = nn.Linear(16, outputs)

    def forward(self, x):
        found = torch.relu(self.filters(self.vectors(x).transpose(1, 2)))
        return self.out(found.amax(2))


@pytest.fixture(scope="session")
def chains_model(chains_frame, tmp_path_factory):
    task = load(chains_frame, target="label")
    with seeded(0):
        network = fit(Motifs(len(task.schema.input.vocabulary) + 2, 2), task.train, steps=60)
    return open_model(ship(network, task, tmp_path_factory.mktemp("chains")))
