"""Damaged and hostile ONNX files end in an error that says so, never in a crash or in code run."""

import random

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from netwright.artefact import ArtefactError, Session, read_onnx, to_onnx
from netwright.artefact._file import load_model
from tests.artefact.shipped_networks import (
    DIGITS,
    PEOPLE,
    REVIEWS,
    bag_of_words,
    small_cnn,
    table_mlp,
)

WHOLE = [
    (small_cnn(), DIGITS, torch.zeros(1, 1, 8, 8)),
    (table_mlp(), PEOPLE, torch.zeros(1, 4)),
    (bag_of_words(), REVIEWS, torch.zeros(1, 6, dtype=torch.int64)),
]


@pytest.fixture(scope="module")
def files():
    return [(to_onnx(n, schema, sample=x), x) for n, schema, x in WHOLE]


def try_all(path, x):
    """Open and run; what is not refused must give numbers of the right shape."""
    refused = 0
    for run in (lambda: Session(path).predict(x), lambda: read_onnx(path)(x)):
        try:
            assert len(run()) == 1
        except ArtefactError as error:
            assert str(error)
            refused += 1
    return refused


@pytest.mark.parametrize("kind", range(len(WHOLE)), ids=["image", "table", "text"])
def test_flipped_bits(files, tmp_path, kind, capfd):
    whole, x = files[kind]
    chance, refused = random.Random(kind), 0
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(chance.choice([1, 4])):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (tmp_path / "m.onnx").write_bytes(content)
        refused += try_all(tmp_path / "m.onnx", x)
    assert refused > 10
    assert capfd.readouterr().out == ""


def test_truncated_files(files, tmp_path):
    whole, x = files[0]
    for length in [0, 1, 10, *range(100, len(whole), 400)]:
        (tmp_path / "m.onnx").write_bytes(whole[:length])
        try_all(tmp_path / "m.onnx", x)
    (tmp_path / "m.onnx").write_bytes(whole[:1000])
    with pytest.raises(ArtefactError, match="not an ONNX file, or is damaged"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("key", ["schema", "temperature", "classes"])
def test_damaged_metadata_are_said_to_be_of_which_file(files, tmp_path, key):
    model = onnx.load_from_string(files[0][0])
    kept = [p for p in model.metadata_props if p.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend([*kept, onnx.StringStringEntryProto(key=key, value='{"input":{"k')])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtefactError, match=r"m\.onnx: "):
        Session(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no model", b"<html>", bytes(5000)])
def test_other_files(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ArtefactError, match="m.onnx"):
        load_model(tmp_path / "m.onnx")


def with_external_weight(path, location, **more):
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        weight.external_data.add(key=key, value=str(value))
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_weights_beside_the_model_are_read(tmp_path):
    (tmp_path / "w.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
    with_external_weight(tmp_path / "m.onnx", "w.bin")
    x = torch.ones(1, 3)
    assert Session(tmp_path / "m.onnx").predict(x).tolist() == [[1, 2, 3]]
    assert read_onnx(tmp_path / "m.onnx")(x).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "sub/../../secret.bin", ""])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    (tmp_path / "secret.bin").write_bytes(bytes(12))
    (tmp_path / "model").mkdir()
    with_external_weight(tmp_path / "model" / "m.onnx", location)
    with pytest.raises(ArtefactError, match="keeps `w` in .*outside its own folder"):
        Session(tmp_path / "model" / "m.onnx")
    with pytest.raises(ArtefactError, match="outside its own folder"):
        read_onnx(tmp_path / "model" / "m.onnx")


def test_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(12))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret.bin")
    with_external_weight(tmp_path / "model" / "m.onnx", "w.bin")
    with pytest.raises(ArtefactError, match="outside its own folder"):
        load_model(tmp_path / "model" / "m.onnx")


def test_weights_in_a_constant_are_checked_too(tmp_path):
    with_external_weight(tmp_path / "m.onnx", "../x")
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    weight = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=weight))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtefactError, match="outside its own folder"):
        load_model(tmp_path / "m.onnx")


def test_missing_or_short_weights_are_an_error(tmp_path):
    with_external_weight(tmp_path / "m.onnx", "w.bin")
    with pytest.raises(ArtefactError, match="which is not there; put that file beside"):
        load_model(tmp_path / "m.onnx")
    (tmp_path / "w.bin").write_bytes(bytes(5))
    with pytest.raises(ArtefactError, match="m.onnx|`w`"):
        read_onnx(tmp_path / "m.onnx")
    with_external_weight(tmp_path / "m.onnx", "w.bin", offset=100, length=12)
    with pytest.raises(ArtefactError):
        read_onnx(tmp_path / "m.onnx")
