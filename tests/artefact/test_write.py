import json
import logging
import warnings

import onnx
import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.artefact import ArtefactError, Session, to_onnx, write
from netwright.artefact._export import _registry_kept, export_network
from netwright.data import Column, Input, Schema, Target
from tests.artefact.shipped_networks import (
    DIGITS,
    PEOPLE,
    REVIEWS,
    bag_of_words,
    small_cnn,
    table_mlp,
)

# float32 sums of fewer than 100 terms of size 1, in another order: a few times 1e-7
CLOSE = {"atol": 1e-6, "rtol": 0}


def test_image_network_runs_from_pixels_and_from_features(tmp_path, generator):
    network = small_cnn().eval()
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=generator)
    written = write(network, DIGITS, design="{}", folder=tmp_path / "run", sample=pixels[:1] / 255)
    session = Session(written.onnx)
    expected = network(pixels / 255)
    torch.testing.assert_close(session.predict(pixels / 255), expected, **CLOSE)
    raw = session.predict_raw({"image": pixels.numpy()})
    torch.testing.assert_close(raw, expected, **CLOSE)
    probabilities = session.probabilities({"image": pixels.numpy()})
    torch.testing.assert_close(probabilities, expected.softmax(1), **CLOSE)


def test_folder_holds_weights_design_and_schema_without_pickle(tmp_path):
    from safetensors.torch import load_file

    network = small_cnn()
    write(network, DIGITS, design='{"a": 1}', folder=tmp_path, sample=torch.zeros(1, 1, 8, 8))
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[name], t) for name, t in network.state_dict().items())
    assert json.loads((tmp_path / "design.json").read_text()) == {"a": 1}
    assert json.loads((tmp_path / "schema.json").read_text())["target"]["names"] == ["digit"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "design.json",
        "model.onnx",
        "model.safetensors",
        "schema.json",
    ]


def test_reported_size_is_the_file(tmp_path):
    written = write(table_mlp(), PEOPLE, design="{}", folder=tmp_path, sample=torch.zeros(1, 4))
    assert written.size == (tmp_path / "model.onnx").stat().st_size


def test_size_does_not_depend_on_the_weights():
    # Equal biases of an untrained network must not be stored once where trained ones take more.
    network = small_cnn()
    with seeded(0):
        network.insert(3, nn.Conv2d(8, 8, 3))
        network.insert(3, nn.Conv2d(8, 8, 3))
    sample = torch.zeros(1, 1, 8, 8)
    with torch.no_grad():
        for layer in network[3:5]:
            layer.bias.zero_()
        untrained = to_onnx(network, DIGITS, sample=sample)
        for i, layer in enumerate(network[3:5]):
            layer.bias.fill_(i + 1)
        network[1].bias.fill_(0.5)
        trained = to_onnx(network, DIGITS, sample=sample)
    assert len(untrained) == len(trained)


def test_beside_its_weights_a_file_takes_less_than_2_kB():
    network = small_cnn()
    model = to_onnx(network, DIGITS, sample=torch.zeros(1, 1, 8, 8))
    weights = 4 * sum(p.numel() for p in network.parameters())
    assert len(model) - weights < 2000
    assert b"torch" not in model and b"stack" not in model


def test_network_and_surroundings_are_left_as_they_were(generator):
    network = small_cnn()
    network[1].eval()  # a frozen layer inside a network in training
    modes = [m.training for m in network.modules()]
    before = {k: v.clone() for k, v in network.state_dict().items()}
    level, filters = logging.getLogger("torch.onnx").level, list(warnings.filters)
    to_onnx(network, DIGITS, sample=torch.zeros(1, 1, 8, 8))
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert (logging.getLogger("torch.onnx").level, warnings.filters) == (level, filters)


def test_nothing_is_printed_or_logged(capfd, caplog):
    to_onnx(small_cnn(), DIGITS, sample=torch.zeros(1, 1, 8, 8))
    assert capfd.readouterr() == ("", "")
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO] == []


def test_same_network_gives_the_same_bytes():
    files = {to_onnx(small_cnn(), DIGITS, sample=torch.zeros(1, 1, 8, 8)) for _ in range(2)}
    assert len(files) == 1


def test_operator_table_that_is_kept_gives_the_same_graph(monkeypatch):
    import contextlib

    kept = export_network(small_cnn(), torch.zeros(1, 1, 8, 8), output="logits")
    monkeypatch.setattr("netwright.artefact._export._registry_kept", contextlib.nullcontext)
    assert _registry_kept is not contextlib.nullcontext
    fresh = export_network(small_cnn(), torch.zeros(1, 1, 8, 8), output="logits")
    assert fresh.SerializeToString(deterministic=True) == kept.SerializeToString(deterministic=True)


def test_file_says_what_it_is():
    model = onnx.load_from_string(to_onnx(small_cnn(), DIGITS, sample=torch.zeros(1, 1, 8, 8)))
    onnx.checker.check_model(model, full_check=True)
    about = {p.key: p.value for p in model.metadata_props}
    assert json.loads(about["classes"]) == list("0123456789")
    assert {o.domain: o.version for o in model.opset_import} == {"": 20}
    batch = [
        v.type.tensor_type.shape.dim[0].dim_param for v in (*model.graph.input, *model.graph.output)
    ]
    assert batch == ["batch"] * 3
    assert [v.name for v in model.graph.output] == ["logits", "probabilities"]


def test_temperature_divides_the_logits(tmp_path):
    network, x = (
        small_cnn().eval(),
        torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1)),
    )
    (tmp_path / "hot.onnx").write_bytes(to_onnx(network, DIGITS, sample=x, temperature=2.5))
    session = Session(tmp_path / "hot.onnx")
    assert session.temperature == 2.5
    torch.testing.assert_close(session.predict(x), network(x) / 2.5, **CLOSE)


def test_sigmoid_for_labels_and_no_probabilities_for_numbers(tmp_path):
    labels = to_onnx(bag_of_words(), REVIEWS, sample=torch.zeros(1, 6, dtype=torch.int64))
    assert [n.op_type for n in onnx.load_from_string(labels).graph.node][-1] == "Sigmoid"
    values = onnx.load_from_string(to_onnx(table_mlp(), PEOPLE, sample=torch.zeros(1, 4)))
    assert [v.name for v in values.graph.output] == ["values"]
    (tmp_path / "v.onnx").write_bytes(values.SerializeToString())
    with pytest.raises(ArtefactError, match="gives no probabilities; it gives values"):
        Session(tmp_path / "v.onnx").probabilities(
            {"age": [1.0], "town": [""], "member": [0], "since": [0]}
        )


def test_columns_may_be_called_like_anything_in_the_graph(tmp_path):
    taken = ["features", "logits", "relu", "0.weight", "raw/columns", "batch", "", "features_"]
    columns = tuple(Column(name, "number") for name in taken)
    schema = Schema(Input("table", (8,), columns=columns), Target("class", ("y",), ("a", "b")))
    with seeded(0):
        network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.rand(3, 8, generator=torch.Generator().manual_seed(0))
    written = write(network, schema, design="{}", folder=tmp_path, sample=x)
    session = Session(written.onnx)
    assert len(set(session.inputs)) == 8
    by_column = {name: x[:, i].numpy() for i, name in enumerate(taken) if name != "features_"}
    by_column[session.inputs[7]] = x[:, 7].numpy()
    torch.testing.assert_close(session.predict_raw(session.raw_feed(x)), network(x), **CLOSE)
    assert session.schema == schema


class FixedBatch(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :10] + torch.ones(3, 10)


class DataDependent(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :10] if x.sum() > 0 else -x.flatten(1)[:, :10]


@pytest.mark.parametrize("network", [FixedBatch(), DataDependent()], ids=lambda n: type(n).__name__)
def test_network_that_cannot_be_exported_is_named(network):
    with pytest.raises(ArtefactError, match=rf"`network` \({type(network).__name__}\) could not"):
        to_onnx(network, DIGITS, sample=torch.zeros(1, 1, 8, 8))


def test_output_must_fit_the_target():
    with pytest.raises(ArtefactError, match=r"must return \(batch, 10\).* got \['batch', 64\]"):
        to_onnx(nn.Flatten(), DIGITS, sample=torch.zeros(1, 1, 8, 8))


def test_sample_must_have_the_kind_that_networks_receive():
    with pytest.raises(ArtefactError, match="`sample` must be FLOAT.*got DOUBLE"):
        to_onnx(small_cnn().double(), DIGITS, sample=torch.zeros(1, 1, 8, 8).double())


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match="`temperature` must be positive; got 0"):
        to_onnx(small_cnn(), DIGITS, sample=torch.zeros(1, 1, 8, 8), temperature=0)


def test_table_needs_columns():
    schema = Schema(Input("table", (0,)), Target("value", ("y",)))
    with pytest.raises(ArtefactError, match="without columns"):
        to_onnx(table_mlp(), schema, sample=torch.zeros(1, 4))
