"""The folder of a compression is a run like a build's, and is finished whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from netwright._compress_training import Retraining
from netwright.artefact import Session
from netwright.cli import app
from netwright.compress import unpack
from netwright.data import load
from netwright.measure import macs
from netwright.nn import Calibrated
from netwright.run import Run
from netwright.serve import export, open_model

from .small_compression import COST, cheaper, hurry


@pytest.fixture(scope="module")
def thin(tiny, tmp_path_factory):
    """The digits' network at half its multiply-accumulates."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return cheaper(tiny, tmp_path_factory.mktemp("thin") / "run")


def rows(n=40):
    return load("digits", seed=0).validation.take(range(n))


def test_channels_are_gone_and_the_network_is_the_file(thin, tiny):
    network, x = thin.network, rows()
    assert isinstance(network, Calibrated) and thin.design.family == "reduced"
    with torch.no_grad():
        # float32 sums of some hundred terms
        torch.testing.assert_close(network(x), Session(thin.artefact).predict(x), atol=1e-4, rtol=0)
    before, after = (macs(r.network, x[:1]).macs for r in (tiny, thin))
    assert after <= COST * before
    found = next(f for f in thin.findings if f.name.startswith("requirement/macs"))
    assert found.measurement.value == after and found.judgement.verdict == "met"
    held = unpack((thin.folder / "model.nwz").read_bytes()).graph.initializer
    shapes = {tuple(t.dims) for t in held}
    weights = load_file(thin.folder / "model.safetensors")
    assert all(tuple(w.shape) in shapes for w in weights.values() if w.ndim > 1)


def test_the_commands_on_runs_work_on_it(thin, tmp_path):
    command, few = CliRunner(), tmp_path / "few.npz"
    raw = Session(thin.artefact).raw_feed(rows())["image"]
    np.savez(few, x=raw[:, 0], y=load("digits", seed=0).validation.y[:40].flip(0).numpy())
    for arguments, shown in (
        (["report", str(thin.folder)], "macs"),
        (["design", "show", str(thin.folder)], "small CNN, compressed"),
        (["design", "show", str(thin.folder), "--svg"], "<svg"),
        (["audit", str(thin.folder), str(few), "--out", str(tmp_path / "audit")], "Report:"),
    ):
        result = command.invoke(app, arguments)
        assert shown in result.output, (arguments, result.exception)
        assert result.exit_code in (0, 1) and not isinstance(result.exception, ValueError)
    page = thin.report.read_text(encoding="utf-8")
    assert "Compression report" in page and "reduced" in page and "Time used" in page


def test_its_source_and_its_exports_compute_the_same(thin, tmp_path):
    result = CliRunner().invoke(app, ["design", "show", str(thin.folder), "--source"])
    made = {"__name__": "printed"}
    exec(compile(result.output, "printed", "exec"), made)
    with torch.random.fork_rng():
        network = made["build"]()
    made["load_weights"](network, thin.folder / "model.safetensors")
    with torch.no_grad():
        assert torch.equal(network.eval()(rows()), thin.network(rows()))
    (path,) = export(thin.folder, "python", tmp_path / "model.py")
    alone = {"__name__": "alone"}
    exec(compile(path.read_text(encoding="utf-8"), "alone", "exec"), alone)
    raw = Session(thin.artefact).raw_feed(rows())
    wanted = Session(thin.artefact).probabilities(raw)
    found = np.asarray(alone["predict"](raw["image"]))
    assert np.abs(found - wanted.numpy()).max() < 1e-4  # float32 sums of some hundred terms
    model = open_model(thin.folder)
    assert model.findings == thin.findings


def test_eight_bits_leave_the_file_s_weights_in_the_torch_network(thin):
    folder = next(
        place
        for place in sorted((thin.folder / "candidates").iterdir())
        if json.loads((place / "candidate.json").read_text())["passes"] == "int8"
    )
    model = unpack((folder / "model.nwz").read_bytes())
    steps = [t for t in model.graph.initializer if t.name.endswith("/weight/codes")]
    weights = load_file(folder / "model.safetensors")
    few = [len(w[0].unique()) for n, w in weights.items() if n.endswith("weight")]
    assert len(steps) == len(few) and max(few) <= 255
    assert not torch.equal(*(load_file(p)["network.head.weight"] for p in (
        folder / "model.safetensors", thin.folder / "candidates" / "000" / "model.safetensors"
    )))  # fmt: skip


def test_killed_in_a_training_it_goes_on_and_trains_nothing_again(tiny, thin, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "tests.end_to_end.small_compression"]
    done = subprocess.run([*command, str(tiny.folder), str(out), "ranks/0"], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    kept = {p: p.stat().st_mtime_ns for p in out.glob("candidates/*/candidate.json")}
    assert len(kept) == 6  # as it was, int8, and two strengths of fewer channels with both
    trained = []
    train = Retraining.__call__

    def note(self, network, units, *, recipe, name):
        trained.append(name)
        train(self, network, units, recipe=recipe, name=name)

    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        patch.setattr(Retraining, "__call__", note)
        run = cheaper(tiny, out)
    assert trained and not any(
        name.startswith("channels/") and "r" not in name[9:] for name in trained
    )
    assert trained[0] == "ranks/0"
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    for name in ("model.nwz", "model.onnx", "model.safetensors", "design.json"):
        assert (run.folder / name).read_bytes() == (thin.folder / name).read_bytes()
    assert Run.open(out).verdict == thin.verdict


def test_ctrl_c_says_that_what_was_done_is_kept(tiny, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "netwright", "compress", str(tiny.folder), "--require",
         "size <= 1 kB", "--budget", "20 steps", "--out", str(tmp_path / "run")],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    log, deadline = tmp_path / "run" / "log.jsonl", time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and '"compressed"' in log.read_text(encoding="utf-8"):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Stopped. What was done is kept; the same command continues from there." in errors
