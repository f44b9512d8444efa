"""Models that are timed: they run, and are made of what a shipped file is made of."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.artefact import to_onnx
from netwright.data import Input, Schema, Target
from netwright.measure import Operation, operations
from netwright.measure import _latency_table as table
from netwright.measure._operation_models import alone, null_model, null_network

from .test_operations import Gate, Wired

X = torch.zeros(1, 3, 8, 8)
STEPS = torch.zeros(1, 3, 16)


@pytest.mark.oracle
@pytest.mark.parametrize("kind, shape", [("image", (3, 8, 8)), ("sequence", (2, 12))])
def test_the_least_model_is_what_would_be_shipped(kind, shape):
    classes = tuple(f"class {k}" for k in range(10))
    schema = Schema(Input(kind, shape), Target("class", ("kind",), classes))
    network = null_network((1, *shape)).eval()
    shipped = onnx.load_from_string(to_onnx(network, schema, sample=torch.zeros(2, *shape)))
    model, _ = null_model((1, *shape))
    nodes, expected = (
        sorted(node.op_type for node in each.graph.node)
        for each in (onnx.load_from_string(model), shipped)
    )
    assert nodes == expected


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 2, 12)])
def test_the_least_model_runs_on_what_comes_with_it(shape):
    model, x = null_model(shape)
    logits, probabilities = table._caller(model, x)()
    assert x.shape == shape
    assert logits.shape == probabilities.shape == (1, 10)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


class Joined(nn.Module):
    def forward(self, x):
        return torch.cat([nn.functional.relu(x) + x, x], 1)


class Halved(nn.Module):
    """What a mask goes through."""

    def forward(self, x):
        mask = x[:, :1, ::2]
        states = x[..., ::2] * mask
        return states.sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)


IMAGES = {
    "conv": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "depthwise": lambda: nn.Conv2d(3, 6, 3, groups=3),
    "conv, sum, relu": lambda: Wired(lambda net, x: (x + net.norm(net.conv(x))).relu()),
    "batch norm": lambda: nn.BatchNorm2d(3),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "gate": Gate,
    "max pool": lambda: nn.MaxPool2d(3, 2, 1),
    "average pool": lambda: nn.AvgPool2d(2),
    "head": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)),
    "joined": Joined,
}
SEQUENCES = {
    "conv": lambda: nn.Conv1d(3, 4, 5, stride=2, padding=4, dilation=2),
    "depthwise": lambda: nn.Conv1d(3, 6, 3, groups=3),
    "conv, relu": lambda: Wired(lambda net, x: net.norm(net.conv(x)).relu(), n_axes=1),
    "batch norm": lambda: nn.BatchNorm1d(3),
    "relu": nn.ReLU,
    "max pool": lambda: nn.MaxPool1d(3, 2, 1),
    "average pool": lambda: nn.AvgPool1d(3, 2, padding=1),
    "joined": Joined,
    "halved": Halved,
}
CASES = [pytest.param(layer, X, id=f"image {name}") for name, layer in IMAGES.items()]
CASES += [pytest.param(layer, STEPS, id=f"sequence {name}") for name, layer in SEQUENCES.items()]


@pytest.mark.parametrize("layer, x", CASES)
def test_every_kind_of_operation_runs_in_the_runtime(layer, x):
    with _rng.seeded(0):
        found = [o for o in operations(layer(), x) if o.kind != "other clamp"]
    assert found and all(o.known for o in found)
    for operation in found:
        x = np.zeros(operation.inputs[0], np.float32)
        for model in alone(operation):
            (number,) = table._caller(model, x)()
            assert np.isfinite(number).all()
        with_it, without = (
            Counter(node.op_type for node in onnx.load_from_string(model).graph.node)
            for model in alone(operation)
        )
        assert (with_it - without)["Sigmoid" if operation.kind == "Silu" else operation.kind] == 1


@pytest.mark.oracle
def test_a_sum_and_a_relu_run_in_one_with_a_convolution_of_images(tmp_path):
    import onnxruntime

    settings = {"dilation": (1, 1), "groups": (1,), "kernel": (3, 3), "pad": (0, 0)}
    settings |= {"stride": (2, 2), "add": (1,), "relu": (1,)}
    operation = Operation("Conv", ((1, 16, 9, 9),), (1, 32, 4, 4), tuple(sorted(settings.items())))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 4  # it warns that the file is for this machine only
    found = []
    for model in alone(operation):
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(tmp_path / "run.onnx").graph.node
        found.append([n.op_type for n in nodes if not n.op_type.startswith("Reorder")])
    assert found == [["Conv"] * 3 + ["GlobalAveragePool"], ["Conv"] * 2 + ["GlobalAveragePool"]]
