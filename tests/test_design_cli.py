"""`netwright design show`: a table, a drawing, and source that builds the run's network."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from netwright._rng import seeded
from netwright.artefact import write
from netwright.cli import app
from netwright.data import Input, Schema, Target
from netwright.design import Design, build_network, design_to_json
from netwright.nn import Calibrated

SCHEMA = Schema(Input("image", (1, 8, 8)), Target("class", ("digit",), ("one", "two", "three")))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    design = Design("small one", "small_cnn", {"stem": 4, "widths": [6], "strides": [2]})
    network = Calibrated(build_network(design, SCHEMA, seed=0), 1.5).eval()
    sample = torch.zeros(2, 1, 8, 8)
    write(network, SCHEMA, design=design_to_json(design), folder=folder, sample=sample)
    return folder


def show(*arguments):
    return CliRunner().invoke(app, ["design", "show", *map(str, arguments)])


@pytest.mark.slow
def test_table_names_layers_shapes_and_parameters(run):
    done = show(run)
    assert done.exit_code == 0
    for words in ("small one (small_cnn,", "normalise", "3×3 convolution", "linear, 6 to 3"):
        assert words in done.output


@pytest.mark.slow
def test_drawing_is_svg(run):
    assert show(run, "--svg").output.startswith("<svg ")


@pytest.mark.slow
def test_source_loads_the_weights_of_the_run(run, tmp_path):
    printed = show(run, "--source").output
    file = tmp_path / "network.py"
    file.write_text(printed, encoding="utf-8")
    weights = run / "model.safetensors"
    done = subprocess.run(
        [sys.executable, file, weights], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Calibrated(")
    made = {"__name__": "printed"}
    exec(compile(printed, "printed", "exec"), made)
    with seeded(0):
        network = made["build"]()
    made["load_weights"](network, weights)
    assert network.temperature == 1.5
    assert network.state_dict().keys() == load_file(weights).keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["."], "has no design.json: it is not the folder of a finished run"),
        ([".", "--source", "--svg"], "two outputs; ask for one"),
    ],
)
def test_wrong_use_is_told(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = show(*arguments)
    assert done.exit_code != 0
    assert message in str(done.exception)
