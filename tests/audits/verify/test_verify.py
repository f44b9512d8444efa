"""Files in, verdicts and counterexamples out."""

from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from netwright.audits.verify import (
    AffineReLU,
    Constraint,
    NetworkError,
    Property,
    PropertyError,
    Region,
    UnsoundError,
    read_vnnlib,
    verify,
)
from netwright.audits.verify import _verify as module

from .conftest import least_maximum, make_network, make_query, write_onnx, write_property


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array([x])})[0].ravel()


@pytest.fixture
def network(draw):
    return make_network(draw, [2, 4, 4, 2])


@pytest.fixture
def least(network):
    return least_maximum(network, make_query([-1, -1], [1, 1], [[1.0, 0.0]], [0.0]))


@pytest.mark.oracle
def test_files_are_decided_and_the_counterexample_is_real(tmp_path, network, least):
    file = write_onnx(network, tmp_path / "n.onnx")
    for bound, outcome in ((least - 1e-6, "unsat"), (least + 1e-3, "sat")):
        text = [f"(assert (<= Y_0 {bound!r}))"]
        prop = write_property(tmp_path / "p.vnnlib", [-1.0, -1.0], [1.0, 1.0], text, 2)
        found = verify(file, prop)
        assert found.outcome == outcome
        assert found.seconds > 0 and found.n_boxes >= 1
        if outcome == "sat":
            x, y = found.counterexample
            assert all(-1 <= v <= 1 for v in x)
            np.testing.assert_array_equal(run(file, x), y)
            assert y[0] <= bound
            assert found.text.startswith("sat\n((X_0 ") and found.text.endswith("))")
        else:
            assert (found.text, found.counterexample) == ("unsat", None)


@pytest.mark.oracle
def test_modules_are_decided_as_their_layers_are(network, least):
    layers = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        layer = nn.Linear(*weight.T.shape, dtype=torch.float64, device="meta").to_empty(
            device="cpu"
        )
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
        layers += [layer, nn.ReLU()]
    module = nn.Sequential(*layers[:-1])
    for bound, outcome in ((least - 1e-6, "unsat"), (least + 1e-3, "sat")):
        row = Constraint((), ((0, Fraction(1)),), Fraction(bound))
        region = Region((Fraction(-1),) * 2, (Fraction(1),) * 2, ((row,),))
        found = verify(module, Property(2, 2, (region,)))
        assert found.outcome == outcome
        if outcome == "sat":
            x, y = (torch.tensor(v, dtype=torch.float64) for v in found.counterexample)
            torch.testing.assert_close(module(x[None])[0], y)
    with pytest.raises(ValueError, match="could not be exported"):
        verify(module, Property(2, 2, (region,)), sample=torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.oracle
def test_float32_points_stay_inside_a_box_that_has_few(tmp_path):
    """The box [0.1, 0.1 + 2e-8] holds one float32 number; that one is reported."""
    network = AffineReLU((np.ones((1, 1)),), (np.zeros(1),))
    text = ["(assert (<= Y_0 5.0))"]
    prop = write_property(tmp_path / "p.vnnlib", [0.1], [0.10000002], text, 1)
    (x,), _ = verify(network, prop).counterexample
    assert 0.1 <= x <= 0.10000002


def test_several_regions_are_all_decided(tmp_path, network, least):
    text = """
      (declare-const X_0 Real) (declare-const X_1 Real)
      (declare-const Y_0 Real) (declare-const Y_1 Real)
      (assert (>= X_1 -1)) (assert (<= X_1 1))
      (assert (or (and (>= X_0 -1) (<= X_0 0)) (and (>= X_0 0) (<= X_0 1))))
      (assert (<= Y_0 BOUND))"""
    path = tmp_path / "p.vnnlib"
    outcomes = []
    for bound in (least - 1e-6, least + 1e-6):
        path.write_text(text.replace("BOUND", repr(bound)))
        assert len(read_vnnlib(path).regions) == 2
        outcomes.append(verify(network, path).outcome)
    assert outcomes == ["unsat", "sat"]


def test_a_property_about_inputs_alone_is_decided(tmp_path, network):
    path = tmp_path / "p.vnnlib"
    for text, outcome in (
        ("(assert (<= (+ X_0 X_1) -3))", "unsat"),
        ("(assert (<= (+ X_0 X_1) -1.5))", "sat"),
        ("", "sat"),  # every input of the box will do
    ):
        write_property(path, [-1.0, -1.0], [1.0, 1.0], [text], 2)
        assert verify(network, path).outcome == outcome


@pytest.mark.parametrize("workers", [1, 2])
def test_time_is_up(tmp_path, draw, workers, monkeypatch):
    monkeypatch.setattr(module, "_ALONE", 0.2)
    hard = make_network(draw, [6, 60, 60, 60, 60, 1])
    text = ["(assert (<= Y_0 -1e5))"]
    prop = write_property(tmp_path / "p.vnnlib", [-3.0] * 6, [3.0] * 6, text, 1)
    found = verify(hard, prop, timeout=1.0, workers=workers)
    assert found.outcome == "timeout" and found.text == "timeout"
    assert found.seconds < 60  # a batch, and the start of processes, on a busy machine


@pytest.mark.slow
def test_processes_share_what_one_does_not_decide_soon(draw, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_ALONE", 0.0)
    network = make_network(draw, [3, 12, 12, 1])
    x = draw.uniform(-1, 1, (200_000, 3))
    least = float(network(x).min())
    for bound, outcome in ((least - 0.3, "unsat"), (least + 1e-3, "sat")):
        text = [f"(assert (<= Y_0 {bound!r}))"]
        prop = write_property(tmp_path / "p.vnnlib", [-1.0] * 3, [1.0] * 3, text, 1)
        told = []
        found = verify(network, prop, workers=2, watch=told.append)
        assert found.outcome == outcome
        assert (found.counterexample is not None) == (outcome == "sat")
        assert told == sorted(told) and told


@pytest.mark.parametrize(
    ("given", "says"),
    [({"timeout": 0.0}, "`timeout`"), ({"workers": 0}, "`workers`")],
)
def test_arguments_out_of_range_are_refused(tmp_path, network, given, says):
    prop = write_property(tmp_path / "p.vnnlib", [0.0] * 2, [1.0] * 2, [], 2)
    with pytest.raises(ValueError, match=says):
        verify(network, prop, **given)


def test_a_property_of_another_shape_is_refused(tmp_path, network):
    prop = write_property(tmp_path / "p.vnnlib", [0.0] * 3, [1.0] * 3, [], 2)
    with pytest.raises(PropertyError, match="3 inputs and 2 outputs; the network has 2 and 2"):
        verify(network, prop)


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(NetworkError, match=r"Layer 1 has weights \(1, 3\)"):
        AffineReLU((np.ones((2, 2)), np.ones((1, 3))), (np.zeros(2), np.zeros(1)))
    with pytest.raises(NetworkError, match="at least one"):
        AffineReLU((), ())


def test_a_prover_that_errs_is_caught_by_the_attack(tmp_path, network, least, monkeypatch):
    """Planted fault: a search that always says unsat."""
    from netwright.audits.verify import Decision

    monkeypatch.setattr(module, "search", lambda *_, **__: [Decision("unsat", None, 1)])
    text = [f"(assert (<= Y_0 {least + 1.0!r}))"]
    prop = write_property(tmp_path / "p.vnnlib", [-1.0] * 2, [1.0] * 2, text, 2)
    with pytest.raises(UnsoundError, match="please report"):
        verify(network, prop)


def test_points_that_onnx_runtime_does_not_confirm_are_no_counterexamples(
    tmp_path, network, least, monkeypatch
):
    """Planted fault: outputs that differ from the layers' own."""
    monkeypatch.setattr(module.Replay, "__call__", lambda *_: None)
    text = [f"(assert (<= Y_0 {least + 1.0!r}))"]
    prop = write_property(tmp_path / "p.vnnlib", [-1.0] * 2, [1.0] * 2, text, 2)
    found = verify(network, prop, timeout=1.0)
    assert found.outcome in ("timeout", "unknown")
    assert found.counterexample is None
