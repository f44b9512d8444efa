"""Operations by kind and shape, as ONNX Runtime runs them."""

from collections import Counter

import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.artefact import to_onnx
from netwright.data import Schema
from netwright.design import families
from netwright.measure import Operation, operations

from ..design.samples import FAMILIES, INPUTS, TARGETS, rows_for

X = torch.zeros(1, 3, 8, 8)
STEPS = torch.zeros(1, 3, 16)


def network(*layers):
    with _rng.seeded(0):
        return nn.Sequential(*[layer() for layer in layers])


def conv(n_in=3, n_out=4, **settings):
    return lambda: nn.Conv2d(n_in, n_out, 3, **settings)


def kinds(net, x=X):
    return [o.kind for o in operations(net, x)]


def test_operations_carry_shapes_and_settings():
    found = operations(network(conv(stride=2, padding=1), nn.Sigmoid), X)
    assert found == (
        Operation("Conv", ((1, 3, 8, 8),), (1, 4, 4, 4), (
            ("dilation", (1, 1)), ("groups", (1,)), ("kernel", (3, 3)), ("pad", (1, 1)),
            ("stride", (2, 2)),
        )),
        Operation("Sigmoid", ((1, 4, 4, 4),), (1, 4, 4, 4)),
    )  # fmt: skip
    assert found[0].key.startswith("Conv 1x3x8x8 dilation=1,1 groups=1 kernel=3,3")


class Gate(nn.Module):
    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True).sigmoid()


@pytest.mark.parametrize("layer, x, expected", [
    (lambda: nn.BatchNorm2d(3), X, ["BatchNormalization"]),
    (nn.SiLU, X, ["Silu"]),
    (lambda: nn.MaxPool2d(2), X, ["MaxPool"]),
    (lambda: nn.AvgPool2d(2), X, ["AveragePool"]),
    (nn.Flatten, X, []),
    (Gate, X, ["ReduceMean", "Sigmoid", "Mul"]),
    (lambda: nn.Upsample(scale_factor=2), X, ["other upsample_nearest2d"]),
    (lambda: nn.BatchNorm1d(3), STEPS, ["BatchNormalization"]),
    (lambda: nn.Conv1d(3, 4, 5), STEPS, ["Conv"]),
    (lambda: nn.AvgPool1d(3, 2, padding=1), STEPS, ["AveragePool"]),
])  # fmt: skip
def test_kinds_of_layers(layer, x, expected):
    found = operations(network(layer), x)
    assert [o.kind for o in found][: len(expected)] == expected
    assert all(o.known == (not o.kind.startswith("other")) for o in found)


def test_steps_are_pooled_in_one_dimension():
    (found,) = operations(network(lambda: nn.MaxPool1d(3, 2, padding=1)), STEPS)
    settings = (("kernel", (3,)), ("pad", (1,)), ("stride", (2,)))
    assert found == Operation("MaxPool", ((1, 3, 16),), (1, 3, 8), settings)


class Wired(nn.Module):
    """A convolution, and what is done with what it says."""

    def __init__(self, use, *, n_axes=2):
        super().__init__()
        self.use = use
        with _rng.seeded(0):
            self.conv = (nn.Conv1d, nn.Conv2d)[n_axes - 1](3, 3, 3, padding=1)
            self.norm = (nn.BatchNorm1d, nn.BatchNorm2d)[n_axes - 1](3)

    def forward(self, x):
        return self.use(self, x)


def joined(net, x):
    return [(o.kind, {n for n, _ in o.settings} & {"add", "relu"}) for o in operations(net, x)]


@pytest.mark.parametrize("use, image, steps", [
    (lambda net, x: net.norm(net.conv(x)).relu(), [("Conv", {"relu"})], [("Conv", {"relu"})]),
    (lambda net, x: net.conv(x).relu_(), [("Conv", {"relu"})], [("Conv", {"relu"})]),
    (lambda net, x: net.norm(x), [("BatchNormalization", set())],
     [("BatchNormalization", set())]),
    (lambda net, x: (x + net.norm(net.conv(x))).relu(), [("Conv", {"add", "relu"})],
     [("Conv", set()), ("Add", set()), ("Relu", set())]),
    (lambda net, x: net.conv(x).relu() + x, [("Conv", {"relu"}), ("Add", set())],
     [("Conv", {"relu"}), ("Add", set())]),
    (lambda net, x: net.conv(x) + 1, [("Conv", set()), ("Add", set())],
     [("Conv", set()), ("Add", set())]),
])  # fmt: skip
def test_a_convolution_does_what_follows_it(use, image, steps):
    assert joined(Wired(use, n_axes=2), X) == image
    assert joined(Wired(use, n_axes=1), STEPS) == steps


def test_what_is_computed_twice_is_listed_once():
    twice = Wired(lambda net, x: net.conv(x) * net.conv(x), n_axes=1)
    assert kinds(twice, STEPS) == ["Conv", "Mul"]
    other = Wired(lambda net, x: net.conv(x) * net.conv(x + 1), n_axes=1)
    assert kinds(other, STEPS) == ["Conv", "Add", "Conv", "Mul"]
    in_place = Wired(lambda net, x: net.conv(x).mul_(2).mul_(2), n_axes=1)
    assert kinds(in_place, STEPS) == ["Conv", "Mul", "Mul"]


def test_training_mode_is_left_as_it_was():
    net = network(lambda: nn.BatchNorm2d(3)).train()
    before = net[0].running_mean.clone()
    operations(net, X + 1)
    assert net.training
    assert torch.equal(net[0].running_mean, before)


FRONT = Counter(
    "Pad Slice Slice Slice IsNaN Not Cast Cast ReduceMax CumSum Greater Max ReduceMean Where "
    "Softmax".split()
)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "family", ["sequence_resnet", "sequence_inception", "macro_sequence", "sequence_cells"]
)
def test_the_runtime_runs_what_is_listed(family, tmp_path, generator):
    import onnx
    import onnxruntime

    schema = Schema(INPUTS["sequence 2x24"], TARGETS["class"])
    with _rng.seeded(0):
        net = getattr(families, family)(schema, **FAMILIES[family]).eval()
    x = rows_for(schema, 2, generator)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    options.log_severity_level = 4  # it warns that the file is for this machine only
    onnxruntime.InferenceSession(
        to_onnx(net, schema, sample=x), options, providers=["CPUExecutionProvider"]
    )
    run = Counter()
    for node in onnx.load(tmp_path / "run.onnx").graph.node:
        fused = any(a.name == "activation" and a.s == b"Relu" for a in node.attribute)
        run[node.op_type.removeprefix("Fused") + (" relu" if fused else "")] += 1
    listed = Counter(
        o.kind + (" relu" if "relu" in dict(o.settings) else "")
        for o in operations(net, x[:1])
        if o.known
    )
    assert run - FRONT == listed


class Gate(nn.Module):
    def forward(self, x):
        return x.mean((2, 3), keepdim=True) * x


def test_a_gate_stands_second():
    found = operations(Gate(), torch.zeros(1, 4, 8, 8))
    (product,) = (o for o in found if o.kind == "Mul")
    assert product.inputs == ((1, 4, 8, 8), (1, 4, 1, 1))


class NormalisedSum(nn.Sequential):
    def forward(self, x):
        return self[1](self[0](x) + x)


def test_a_normalisation_behind_a_sum_is_not_folded():
    with _rng.seeded(0):
        net = NormalisedSum(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    kinds = [
        (o.kind, dict(o.settings).get("add")) for o in operations(net, torch.zeros(1, 4, 8, 8))
    ]
    assert kinds == [("Conv", (1,)), ("BatchNormalization", None)]
