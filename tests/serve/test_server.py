"""The command, a run's folder, and what it says at the terminal."""

import hashlib
import json
import os
import shutil
import socket

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from netwright.artefact import ArtefactError
from netwright.cli import app
from netwright.run import Run
from netwright.serve import open_model, read_reference
from netwright.serve._server import _listen, _reference


def test_run_is_served_with_its_findings_and_its_training_rows(digits_run, digits_task):
    model = open_model(digits_run)
    assert model.run is not None
    assert model.calibration()["measured_on_test"] == {
        "value": 0.02, "low": 0.01, "high": 0.03, "n": 359, "name": "ece",
    }  # fmt: skip
    assert [f["name"] for f in model.about()["findings"]] == ["calibration"]
    reference, note, _ = _reference(model, None)
    assert note == ""
    assert reference.n == len(digits_task.train)


def test_other_data_than_the_run_was_trained_on_are_refused(digits_run):
    model = open_model(digits_run)
    task = torch.utils.data.TensorDataset(torch.zeros(40, 1, 8, 8), torch.arange(40) % 10)
    with pytest.raises(ValueError, match="is not what .* was trained on"):
        read_reference(model, task)


def test_training_data_that_are_gone_are_said_to_be(digits_run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(digits_run, moved)
    (moved / "job.json").write_text('{"source": "/nowhere/digits.csv", "seed": 0}')
    reference, note, why = _reference(open_model(moved), None)
    assert reference is None
    assert note.startswith("No examples are shown")
    assert "/nowhere" not in note  # whoever asks need not know
    assert "/nowhere/digits.csv" in why
    with pytest.raises(ValueError):
        _reference(open_model(moved), "/nowhere/digits.csv")


def test_file_that_is_not_the_audited_one_is_refused_as_a_run(digits_run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(digits_run, moved)
    content = (moved / "model.onnx").read_bytes()
    facts = {"event": "shipped", "elapsed": 1.0, "sha256": hashlib.sha256(content).hexdigest()}
    (moved / "log.jsonl").write_text(json.dumps(facts) + "\n")
    assert open_model(moved).version == facts["sha256"][:12]
    (moved / "model.onnx").write_bytes(content + b"\x72\x06\x0a\x01a\x12\x01b")  # more metadata
    with pytest.raises(ArtefactError, match=r"model\.onnx is not the file that was audited"):
        open_model(moved)
    assert open_model(moved / "model.onnx").findings == ()
    facts["sha256"] = ["no digest"]
    (moved / "log.jsonl").write_text(json.dumps(facts) + "\n")
    with pytest.raises(ArtefactError, match="is not the file that was audited"):
        open_model(moved)


@pytest.mark.parametrize("content", ["[1, 2]", '{"findings": ' + "[" * 100_000, "\0", ""])
def test_damaged_findings_are_named(digits_run, tmp_path, content):
    moved = tmp_path / "moved"
    shutil.copytree(digits_run, moved)
    (moved / "findings.json").write_text(content)
    with pytest.raises(ArtefactError, match=r"findings\.json cannot be read"):
        open_model(moved)


@pytest.mark.parametrize("content", ["{}", "[1]", '{"source": ' + "[" * 100_000])
def test_damaged_job_leaves_the_examples_out(digits_run, tmp_path, content):
    moved = tmp_path / "moved"
    shutil.copytree(digits_run, moved)
    (moved / "job.json").write_text(content)
    assert _reference(open_model(moved), None)[0] is None


def test_pipes_and_devices_are_no_files(digits_run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(digits_run, moved)
    (moved / "model.onnx").unlink()
    os.mkfifo(moved / "model.onnx")
    with pytest.raises(ArtefactError, match=r"model\.onnx is no file"):
        open_model(moved)
    (moved / "job.json").unlink()
    (moved / "job.json").symlink_to("/dev/zero")
    with pytest.raises(FileNotFoundError, match=r"job\.json is missing, or no file"):
        _ = Run.open(moved).job


def test_name_is_safe_in_an_address(digits_file, tmp_path):
    strange = tmp_path / "a b ü&.onnx"
    shutil.copy(digits_file, strange)
    assert open_model(strange).name == "a-b---"


def test_file_of_another_origin_is_refused(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2]) for n in "xy")
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.save(model, tmp_path / "o.onnx")
    with pytest.raises(ArtefactError, match="not written by Netwright"):
        open_model(tmp_path / "o.onnx")
    with pytest.raises(FileNotFoundError):
        open_model(tmp_path / "none.onnx")


def test_port_that_is_taken_is_said_to_be():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} of 127.0.0.1 cannot be had"):
            _listen("127.0.0.1", port)


def test_connections_send_at_once():
    """asyncio switches Nagle's algorithm off only where the socket names its protocol."""
    with _listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_command_explains_itself():
    result = CliRunner().invoke(app, ["serve", "--help"])
    assert result.exit_code == 0
    for option in ("--host", "--port", "--token", "--data", "--log"):
        assert option in result.output


def test_reference_of_a_table(people_model, people_frame):
    reference = read_reference(people_model, people_frame)
    assert set(reference.profile.columns) == {"age", "town", "member", "joined", "the answer"}
    assert reference.n == 360  # 60 % of the rows
    feed = {
        "age": np.array([31.5], np.float32),
        "town": np.array(["Ulm"], object),
        "member": np.array([1], np.float32),
        "joined": np.array([18778], np.float32),
    }
    (found,) = reference.nearest(people_model.features(feed), 4)
    assert len(found) == 4
    for each in found:
        assert each.content["town"] in ("Bonn", "Köln", "Ulm", None)
        assert each.truth in ("yes", "no")
        told = people_frame.iloc[each.row]
        assert told["town"] == each.content["town"]
        assert told["buys"] == each.truth
