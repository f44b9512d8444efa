"""Every other form of a model, run on the same rows as the shipped file."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from netwright import _rng
from netwright._rng import seeded
from netwright.design import build_network, portfolio
from netwright.serve import ExportError, export, open_model, to_c, to_python
from netwright.serve._sequence_rows import together
from tests.serve.conftest import ship, waves

# float32 sums in another order; probabilities are at most 1.
CLOSE = 2e-6


class Windows(nn.Module):
    """One of everything that looks at images: strides, groups, dilation, padding, ceil mode."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, (3, 5), stride=(1, 2), padding=(1, 2))
        self.second = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4, bias=False)
        self.mean = nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=True)
        self.other = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.most = nn.MaxPool2d(2, 1, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.sigmoid(self.norm(self.second(x))) + x
        a, b = self.most(self.mean(x)), self.other(x).clamp(-1, 2)
        return self.last(torch.cat([a.mean((2, 3)), b.amax((2, 3))], 1))


@pytest.fixture(scope="session")
def windows_model(digits_task, tmp_path_factory):
    with seeded(3):
        network = Windows().eval()
    return open_model(ship(network, digits_task, tmp_path_factory.mktemp("windows")))


@pytest.fixture
def rows_of(digits_task):
    """Rows as JSON has them, and as the shipped file takes them."""

    def make(kind):
        if kind in ("digits", "windows"):
            pixels = (digits_task.validation.take(range(40)) * 255).round().to(torch.uint8).numpy()
            return pixels.tolist(), {"image": pixels}
        if kind == "chains":
            texts = ["ACGTAgatcACGTacgtACGT", "ACGTAGATCACGTac", "ACG\nTAG\u00a0ATC", "é😀", ""]
            return texts, {"text": np.array(texts, object)}
        if kind in ("waves", "tones"):
            rows, _ = waves(2 if kind == "waves" else 1, n=5, seed=9)
            rows = [*rows, np.tile(rows[0], 3)]  # longer than the network's room
            lists = [row.tolist() if kind == "waves" else row[0].tolist() for row in rows]
            return lists, {"sequence": together([row[None] for row in rows])}
        if kind == "words":
            texts = ["Good fine film, isn't it?", "", "ÜNKNOWN the bad £ plot", "dull " * 40]
            return texts, {"text": np.array(texts, object)}
        rows = [
            {"age": 31.5, "town": "Ulm", "member": True, "joined": 18778},
            {"age": None, "town": None, "member": False, "joined": 18000.5},
            {"age": 1e6, "town": " Köln ", "member": 1, "joined": 0},
            {"age": -3, "town": "Paris", "member": None, "joined": None},
        ]
        if kind == "prices":
            rows = [{k: v for k, v in row.items() if k != "age"} for row in rows]
        feed = {
            name: np.array([row[name] if row[name] is not None else "" for row in rows], object)
            if name == "town"
            else np.array([row[name] for row in rows], np.float32)  # None becomes NaN
            for name in rows[0]
        }
        return rows, feed

    return make


WITHOUT = "import sys; [sys.modules.__setitem__(name, None) for name in {names}]; "
RUN = WITHOUT + "import runpy; sys.argv = {argv}; runpy.run_path({file!r}, run_name='__main__')"


@pytest.mark.parametrize(
    "kind", ["digits", "windows", "people", "words", "chains", "prices", "tones", "waves"]
)
def test_python_needs_numpy_alone_and_says_the_same(kind, request, rows_of, tmp_path):
    model = request.getfixturevalue(f"{kind}_model")
    rows, feed = rows_of(kind)
    (file,) = export(model.path, "python", tmp_path / "model.py")
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    names = ("torch", "onnx", "onnxruntime", "netwright", "scipy", "pandas")
    argv = [str(file), str(tmp_path / "rows.json")]
    code = RUN.format(names=names, argv=argv, file=str(file))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = np.array(json.loads(done.stdout))
    wanted = model.answer(feed)
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE * scale)


MAIN = """#include <stdio.h>
#include "model.h"
int main(void) {
  KIND in[model_INPUTS];
  float out[model_OUTPUTS];
  while (fread(in, sizeof in, 1, stdin) == 1) {
    model_predict(in, out);
    fwrite(out, sizeof out, 1, stdout);
  }
  return 0;
}
""".replace("model_INPUTS", "MODEL_INPUTS").replace("model_OUTPUTS", "MODEL_OUTPUTS")


def run_c(model, feed, folder):
    """Compile the header, and run it on rows."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")  # honest: nothing else of Netwright needs one
    export(model.path, "c", folder / "model.h")
    is_image = model.schema.input.kind == "image"
    (folder / "main.c").write_text(MAIN.replace("KIND", "uint8_t" if is_image else "float"))
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2"]
    files = [str(folder / "main.c"), "-o", str(folder / "run"), "-lm"]
    subprocess.run([compiler, *flags, *files], check=True)
    sent = feed["image"] if is_image else model.features(feed).numpy()
    run = [str(folder / "run")]
    done = subprocess.run(run, input=sent.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(len(sent), -1)


@pytest.mark.parametrize("kind", ["digits", "windows", "people", "prices", "tones", "waves"])
def test_c_compiles_without_a_warning_and_says_the_same(kind, request, rows_of, tmp_path):
    model = request.getfixturevalue(f"{kind}_model")
    _, feed = rows_of(kind)
    wanted = model.answer(feed)
    found = run_c(model, feed, tmp_path)
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE * scale)


def test_c_header_tells_the_codes_and_survives_strange_names(people_model):
    text = to_c(people_model)
    assert "input[1] town: 0 missing or unknown, 1 Bonn, 2 Köln, 3 Ulm" in text
    import dataclasses

    column = dataclasses.replace(people_model.schema.input.columns[0], name="*/ evil ??/\\\n#error")
    columns = (column, *people_model.schema.input.columns[1:])
    inputs = dataclasses.replace(people_model.schema.input, columns=columns)
    schema = dataclasses.replace(people_model.schema, input=inputs)
    comment = to_c(dataclasses.replace(people_model, schema=schema)).partition("#ifndef")[0]
    assert comment.count("*/") == 1
    assert "??" not in comment and "\\" not in comment
    assert not re.search(r"^\s*#error", comment, re.MULTILINE)


def test_what_cannot_be_written_says_why(words_model, digits_model, monkeypatch):
    with pytest.raises(ExportError, match="this model takes texts"):
        to_c(words_model)
    monkeypatch.setattr("netwright.serve._to_python.MOST_BYTES", 100)
    with pytest.raises(ExportError, match=r"has 0\.0 MB of weights; .* Ship model\.onnx"):
        to_python(digits_model)
    with pytest.raises(ValueError, match="`pyton` is no form. Did you mean `python`"):
        export(digits_model.path, "pyton")


def test_unknown_operation_is_named(digits_task, tmp_path):
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.GELU(), nn.Linear(10, 10))
    model = open_model(ship(network.eval(), digits_task, tmp_path))
    with pytest.raises(ExportError, match="Gelu|Erf"):
        to_python(model)
    with pytest.raises(ExportError, match="Gelu|Erf"):
        to_c(model)


def test_huggingface_folder_holds_a_card_whose_code_runs(digits_run, rows_of, tmp_path):
    made = export(digits_run, "huggingface", tmp_path / "hub")
    names = {path.name for path in made}
    assert {"README.md", "model.onnx", "schema.json", "findings.json", "sbom.cdx.json"} <= names
    text = (tmp_path / "hub" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    space = {}
    exec(code.replace('"model.onnx"', repr(str(tmp_path / "hub" / "model.onnx"))), space)
    _, feed = rows_of("digits")
    wanted = open_model(digits_run).answer(feed)
    np.testing.assert_array_equal(space["predict"](feed["image"]), wanted)


@pytest.mark.oracle
def test_hub_reads_the_card(digits_run, tmp_path):
    from huggingface_hub import ModelCard

    export(digits_run, "card", tmp_path / "README.md")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "onnx"
    assert card.data.pipeline_tag == "image-classification"
    (result,) = card.data.eval_results
    assert result.metric_type == "ece"
    assert result.metric_value == 0.02
    assert "Off by 0.02." in card.text
    assert "Differences between groups of people were not measured" in card.text


def test_card_of_a_file_alone_claims_nothing(words_model, tmp_path):
    (path,) = export(words_model.path, "card", tmp_path / "README.md")
    text = path.read_text()
    assert "No audit came with this file." in text
    assert "Nothing was required." in text
    assert "The probabilities were not calibrated." in text
    assert "model-index" not in text


def test_card_keeps_names_from_being_markup(people_model):
    import dataclasses

    from netwright.serve import model_card

    target = dataclasses.replace(people_model.schema.target, classes=("<b>", "a|b\n# c"))
    schema = dataclasses.replace(people_model.schema, target=target)
    text = model_card(dataclasses.replace(people_model, schema=schema))
    assert r"\<b\>, a\|b \# c" in text


def test_bill_of_materials_is_cyclonedx_and_the_same_twice(digits_run, tmp_path):
    import hashlib

    (first,) = export(digits_run, "sbom", tmp_path / "a.json")
    (second,) = export(digits_run, "sbom", tmp_path / "b.json")
    assert first.read_bytes() == second.read_bytes()
    bill = json.loads(first.read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    parts = {part["name"]: part for part in bill["components"]}
    digest = hashlib.sha256((digits_run / "model.onnx").read_bytes()).hexdigest()
    assert parts["model.onnx"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert parts["onnxruntime"]["purl"].startswith("pkg:pypi/onnxruntime@")
    assert parts["digits"]["type"] == "data"
    references = [part["bom-ref"] for part in bill["components"]]
    assert len(set(references)) == len(references)
    assert bill["dependencies"][0]["dependsOn"] == references


def test_command_writes_where_it_says(digits_run, tmp_path):
    from typer.testing import CliRunner

    from netwright.cli import app

    out = tmp_path / "deep" / "model.py"
    result = CliRunner().invoke(
        app, ["export", str(digits_run), "--to", "python", "--out", str(out)]
    )
    assert result.exit_code == 0
    assert result.output.strip() == str(out)
    assert out.read_text().startswith('"""')


@pytest.mark.parametrize("family", ["sequence_inception", "sequence_kernels"])
def test_networks_for_sequences_are_written(family, tones_task, rows_of, tmp_path):
    schema = tones_task.schema
    designs = {d.family: d for d in portfolio(schema, 1_000)}
    network = build_network(designs[family], schema, seed=1).eval()
    with torch.no_grad():  # statistics and weights that matter
        for place, value in enumerate([*network.parameters(), *network.buffers()]):
            if value.is_floating_point():
                value += 0.02 * torch.rand(value.shape, generator=_rng.child(place, "tests"))
    model = open_model(ship(network, tones_task, tmp_path))
    rows, feed = rows_of("tones")
    wanted = model.answer(feed)
    assert np.ptp(wanted[:, 0]) > 1e-4
    space = {"__name__": "written"}
    exec(compile(to_python(model), "model.py", "exec"), space)
    np.testing.assert_allclose(space["predict"](rows), wanted, rtol=0, atol=2e-5)
    np.testing.assert_allclose(run_c(model, feed, tmp_path), wanted, rtol=0, atol=2e-5)
