"""MLflow opens the folder in a process of its own, and answers as the shipped file does."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from netwright.serve import export
from netwright.serve._mlflow_model import _load_pyfunc

# Reads rows as JSON, a line for each model: folder, kind, rows; prints a list of answers.
OPEN = """
import json, sys
import mlflow, numpy, pandas
made = []
for line in sys.stdin:
    folder, kind, rows = json.loads(line)
    model = mlflow.pyfunc.load_model(folder)
    if kind == "image":
        rows = numpy.array(rows, numpy.uint8)
    elif kind == "sequence":
        rows = numpy.array(rows, numpy.float32)
    else:
        rows = pandas.DataFrame(rows)
        if "joined" in rows:
            try:
                model.predict(rows.drop(columns="joined"))
                raise AssertionError("a column is missing, and nobody says so")
            except mlflow.exceptions.MlflowException as error:
                assert "joined" in str(error), error
    found = model.predict(rows)
    made.append([list(found.columns), found.values.tolist()])
onnx = mlflow.onnx.load_model(folder)
print(json.dumps([made, [value.name for value in onnx.graph.input]]))
"""
PEOPLE = [
    {"age": 31.5, "town": "Ulm", "member": True, "joined": 18778},
    {"age": None, "town": None, "member": False, "joined": 18000.5},
    {"age": 1e6, "town": " Köln ", "member": 1, "joined": 0},
    {"age": -3, "town": "Paris", "member": None, "joined": None},
]


def people_feed():
    numbers = ("age", "member", "joined")
    feed = {name: np.array([row[name] for row in PEOPLE], np.float32) for name in numbers}
    return feed | {"town": np.array(["Ulm", "", "Köln", "Paris"], object)}


@pytest.mark.oracle
def test_mlflow_says_the_same(
    people_model, prices_model, words_model, waves_model, digits_model, digits_task, tmp_path
):
    pixels = (digits_task.validation.take(range(9)) * 255).round().byte().numpy()
    texts = ["Good fine film, isn't it?", "", "ÜNKNOWN the bad £ plot"]
    waves = np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)
    feed = people_feed()
    cases = [
        (people_model, PEOPLE, feed),
        (prices_model, PEOPLE, {k: v for k, v in feed.items() if k != "age"}),
        (words_model, [{"text": text} for text in texts], {"text": np.array(texts, object)}),
        (waves_model, waves.tolist(), {"sequence": waves}),
        (digits_model, pixels.tolist(), {"image": pixels}),
    ]
    lines = []
    for place, (model, rows, _) in enumerate(cases):
        first, *_ = export(model.path, "mlflow", tmp_path / str(place))
        lines.append(json.dumps([str(first.parent), model.schema.input.kind, rows]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPEN],
        input="\n".join(lines), capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    made, inputs = json.loads(done.stdout.splitlines()[-1])
    assert inputs == ["image"]
    for (model, _, feed), (names, answers) in zip(cases, made, strict=True):
        assert names == list(model.classes)
        np.testing.assert_array_equal(np.float32(answers), model.answer(feed))


def test_folder_is_whole_and_the_same_twice(people_model, tmp_path):
    import yaml

    first = export(people_model.path, "mlflow", tmp_path / "a")
    second = export(people_model.path, "mlflow", tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    about = yaml.safe_load((tmp_path / "a" / "MLmodel").read_text())
    for entry in ("code", "env"):
        assert about["flavors"]["python_function"][entry]
    inputs = json.loads(about["signature"]["inputs"])
    assert [column["name"] for column in inputs] == ["age", "town", "member", "joined"]
    needs = (tmp_path / "a" / "requirements.txt").read_text()
    conda = yaml.safe_load((tmp_path / "a" / "conda.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == needs.split()


def test_loader_takes_dates_whole_numbers_and_keeps_the_index(people_model, tmp_path):
    first, *_ = export(people_model.path, "mlflow", tmp_path)
    model = _load_pyfunc(str(first.parent))
    rows = pd.DataFrame(
        {
            "age": [31, 40],
            "town": pd.Categorical(["Ulm", None]),
            "member": [True, False],
            "joined": pd.to_datetime(["2021-05-31T12:00", None]),
        },
        index=["x", "y"],
    )
    found = model.predict(rows)
    feed = {
        "age": np.float32([31, 40]),
        "town": np.array(["Ulm", ""], object),
        "member": np.float32([1, 0]),
        "joined": np.float32([18778.5, np.nan]),
    }
    assert list(found.index) == ["x", "y"]
    np.testing.assert_array_equal(found.to_numpy(), people_model.answer(feed))
