"""`audit` on networks that Netwright did not build."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import netwright as nw
from netwright import _rng
from netwright._audit_file import audit_file

pytestmark = pytest.mark.slow


def logistic_network(x, y, n_classes, as_probabilities=False):
    model = LogisticRegression(max_iter=2000).fit(x, y)
    with _rng.seeded(0):
        linear = nn.Linear(x.shape[1], n_classes)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(model.coef_))
        linear.bias.copy_(torch.from_numpy(model.intercept_))
    layers = [nn.Flatten(), linear] + ([nn.Softmax(1)] if as_probabilities else [])
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def wine_csv(tmp_path_factory):
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    frame = pd.DataFrame((x - x.mean(0)) / x.std(0), columns=[f"c{i}" for i in range(x.shape[1])])
    frame["kind"] = np.array(["barolo", "grignolino", "barbera"])[y]
    path = tmp_path_factory.mktemp("wine") / "wine.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("as_probabilities", [False, True], ids=["logits", "probabilities"])
def test_onnx_file_of_another_origin_on_a_csv(wine_csv, tmp_path, as_probabilities):
    frame = pd.read_csv(wine_csv)
    x = frame.drop(columns="kind").to_numpy(np.float32)
    y = frame["kind"].astype("category").cat.codes.to_numpy()
    network = logistic_network(x, y, 3, as_probabilities)
    path = tmp_path / "wine.onnx"
    with warnings.catch_warnings(), _rng.seeded(0):
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(
            network, (torch.from_numpy(x[:2]),), path, dynamo=True, verbose=False,
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )  # fmt: skip
    findings = audit_file(
        path, str(wine_csv), target="kind", require=["accuracy >= 0.9"], out=tmp_path / "out"
    )
    with torch.no_grad():
        expected = (network(torch.from_numpy(x)).argmax(1).numpy() == y).mean()
    assert findings[0].measurement.value == pytest.approx(expected)
    assert findings[0].measurement.n == len(frame)  # all rows: none trained here
    assert findings[0].judgement.verdict == "met"
    calibration = next(f for f in findings if f.name == "calibration")
    assert calibration.measurement.value < 0.1  # far off if probabilities were taken for logits
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "findings.json").read_text(encoding="utf-8"))


def test_pt2_file_on_a_named_set(tmp_path):
    task = nw.load("digits", seed=0)
    x = task.train.take(range(len(task.train)))
    network = logistic_network(x.flatten(1).numpy(), task.train.y.numpy(), 10)
    with warnings.catch_warnings(), _rng.seeded(0):
        warnings.simplefilter("ignore")
        batch = {0: torch.export.Dim("n")}
        exported = torch.export.export(network, (x[:2],), dynamic_shapes=(batch,))
        torch.export.save(exported, tmp_path / "digits.pt2")
    findings = audit_file(tmp_path / "digits.pt2", "digits", out=tmp_path / "out")
    performance = next(f for f in findings if f.name == "performance")
    assert performance.measurement.n == len(task.test)
    assert performance.measurement.value > 0.9  # logistic regression reaches 0.96 on digits
    assert "robustness" in {f.name for f in findings}


def test_module_in_python_with_group_gaps(generator):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2)).astype(np.float32)
    frame = pd.DataFrame(x, columns=["a", "b"])
    frame["side"] = np.where(rng.random(600) < 0.5, "left", "right")
    frame["y"] = np.where(x[:, 0] > 0, "yes", "no")
    task = nw.load(frame, target="y", by="side", seed=0)
    place = [c.name for c in task.schema.input.columns].index("a")

    class Rule(nn.Module):
        def forward(self, rows):
            return torch.stack([-rows[:, place], rows[:, place]], 1)

    findings = nw.audit(Rule(), task, require=["gap(accuracy, by=side) <= 20 %"])
    assert findings[0].judgement.verdict == "met"
    assert task.test.looks == ["audit"]
    assert "group_gaps" in {f.name for f in findings}


def test_rows_that_do_not_fit_are_refused_with_both_shapes(tmp_path, wine_csv):
    path = tmp_path / "small.onnx"
    with warnings.catch_warnings(), _rng.seeded(0):
        warnings.simplefilter("ignore")
        torch.onnx.export(nn.Linear(4, 3), (torch.zeros(2, 4),), path, dynamo=True, verbose=False)
    with pytest.raises(ValueError, match=r"does not take these rows, tensors of shape \(64, 13\)"):
        audit_file(path, str(wine_csv), target="kind", out=tmp_path / "out")
