"""`netwright build` of numeric sequences, on real ones."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

import netwright as nw
from netwright.artefact import Session
from netwright.data import TensorSplit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "italypowerdemand"
    return nw.build("italypowerdemand", require=["accuracy >= 0.9"], budget="60 steps", out=folder)


def test_it_beats_the_nearest_neighbour_on_the_official_test_split(run):
    task = nw.load("italypowerdemand", seed=0)
    parts = (task.train, task.validation, task.calibration)
    x = torch.cat([part.take(range(len(part))) for part in parts]).flatten(1)
    y = torch.cat([part.y for part in parts])
    test = task.test.open("a test of the library")
    nearest = torch.cdist(test.take(range(len(test))).flatten(1), x).argmin(1)
    score = (y[nearest] == test.y).double().mean()
    assert 0.94 < score < 0.97  # the archive states 0.955
    asked = next(f for f in run.findings if f.requirement == "accuracy >= 0.9")
    assert asked.measurement.n == 1029 and asked.measurement.value > score
    assert asked.judgement.verdict == "met"


def test_the_shipped_file_runs_on_raw_sequences_of_any_length(run):
    session = onnxruntime.InferenceSession(run.artefact.read_bytes())
    task = nw.load("italypowerdemand", seed=0)
    x = task.validation.take(range(5))
    (given,) = session.get_inputs()
    assert given.name == "sequence"
    for steps in (24, 20, 30):
        raw = np.full((5, 1, steps), np.nan, np.float32)
        raw[..., : min(24, steps)] = x[..., :steps].numpy()
        fed = x.clone()
        fed[..., steps:] = torch.nan
        found = session.run(["logits"], {"sequence": raw})[0]
        # float32 sums in another order
        np.testing.assert_allclose(found, Session(run.artefact).predict(fed), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(
            run.network(x), Session(run.artefact).predict(x), atol=1e-4, rtol=1e-4
        )


def test_the_kernels_were_solved_on_the_validation_rows_too(run):
    events = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    (said,) = [event for event in events if event["event"] == "refitted"]
    assert said["rows"] == 60


def test_sequences_with_a_value_to_predict_are_built_too(shared_data, tmp_path):
    task = nw.load("italypowerdemand", seed=0)
    rows = task.train.take(range(len(task.train)))
    assert isinstance(task.train, TensorSplit)
    run = nw.build(
        (rows[..., :18].numpy(), rows[:, 0, 18:].mean(dim=1).numpy()),
        budget="60 steps", out=tmp_path / "run",
    )  # fmt: skip
    found = next(f for f in run.findings if f.name == "performance").measurement
    assert found.value < rows[:, 0, 18:].mean(dim=1).std()  # rmse below that of the mean
