"""Bounds over graphs with convolutions, poolings, branches and smooth activations."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from netwright.audits.verify import (
    NetworkError,
    certify_ball,
    decide,
    intervals,
    linear_bounds,
    optimised_bounds,
    read_affine,
    read_bounded,
    tighten,
)
from netwright.audits.verify import _intervals as module

from .conftest import make_network, make_query, write_onnx

RADIUS = 0.05


def save(path, nodes, weights, shape, kind=np.float32):
    element = TensorProto.FLOAT if kind == np.float32 else TensorProto.DOUBLE
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, ["n", *shape])],
        [helper.make_tensor_value_info("y", element, ["n", 3])],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def image_network(path, draw, activation="Relu", **attributes):
    """Normalise, convolve, branch, pool, gate the channels, and classify; all kinds of steps."""

    def normal(*shape, scale=0.5):
        return (scale * draw.normal(size=shape)).astype(np.float32)

    weights = {
        "mean": normal(1, 2, 1, 1), "std": np.abs(normal(1, 2, 1, 1)) + 0.5,
        "w1": normal(4, 2, 3, 3), "b1": normal(4), "w2": normal(4, 4, 3, 3), "b2": normal(4),
        "scale": normal(4) + 1, "shift": normal(4), "m": normal(4), "v": np.abs(normal(4)) + 0.5,
        "wg": normal(4, 4), "bg": normal(4), "axes": np.array([2, 3]),
        "to": np.array([0, 4, 1, 1]), "wl": normal(3, 4, scale=2.0), "bl": normal(3),
    }  # fmt: skip
    make = helper.make_node
    nodes = [
        make("Sub", ["x", "mean"], ["x1"]),
        make("Div", ["x1", "std"], ["x2"]),
        make("Conv", ["x2", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        make(activation, ["c1"], ["r1"], **attributes),
        make("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["c2", "scale", "shift", "m", "v"], ["n2"]),
        make("Add", ["n2", "r1"], ["s2"]),
        make(activation, ["s2"], ["r2"], **attributes),
        make("MaxPool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        make("AveragePool", ["p2"], ["a2"], kernel_shape=[2, 2], strides=[1, 1]),
        make("ReduceMean", ["a2", "axes"], ["g"], keepdims=0),
        make("Gemm", ["g", "wg", "bg"], ["g1"], transB=1),
        make("Sigmoid", ["g1"], ["g2"]),
        make("Reshape", ["g2", "to"], ["g3"]),
        make("Mul", ["a2", "g3"], ["q"]),
        make("ReduceMean", ["q", "axes"], ["f"], keepdims=0),
        make("Gemm", ["f", "wl", "bl"], ["y"], transB=1),
    ]
    return save(path, nodes, weights, (2, 6, 6))


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": x.numpy().astype(np.float32)})[0])


def unit_rows(batch):
    return torch.eye(3, dtype=torch.float64)[:, None].expand(3, batch, 3)


@pytest.fixture(params=["Relu", "LeakyRelu", "Tanh", "Sigmoid", "HardSigmoid"])
def image(request, tmp_path, draw):
    return image_network(tmp_path / "n.onnx", draw, request.param)


@pytest.mark.oracle
def test_bounds_hold_for_what_onnx_runtime_computes(image, draw):
    program = read_bounded(image)
    x = torch.from_numpy(draw.random((3, 2, 6, 6)))
    box = intervals(program, x - RADIUS, x + RADIUS)
    first = box.least["y"].clone(), box.most["y"].clone()
    with torch.no_grad():
        crude = linear_bounds(box, "y", unit_rows(3))
        tighten(box)
        low = linear_bounds(box, "y", unit_rows(3))
        high = -linear_bounds(box, "y", -unit_rows(3))
    best = optimised_bounds(box, "y", unit_rows(3), steps=5)
    assert (best >= low).all() and (low >= crude - 1e-9).all()
    assert (low.T >= first[0] - 1e-9).all() and (high.T <= first[1] + 1e-9).all()
    for k in range(200):
        noise = torch.from_numpy(draw.uniform(-1, 1, x.shape))
        noise = noise.sign() if k % 2 else noise
        fed = (x + RADIUS * noise).float().double().clamp(x - RADIUS, x + RADIUS)
        y = run(image, fed).double()
        assert (y >= box.least["y"]).all() and (y <= box.most["y"]).all()
        assert (y.T >= best).all() and (y.T <= high).all()


@pytest.mark.oracle
def test_at_a_point_bounds_close_up_to_the_noise_of_float32(image, draw):
    program = read_bounded(image)
    x = torch.from_numpy(draw.random((2, 2, 6, 6)).astype(np.float32)).double()
    box = intervals(program, x, x)
    y = run(image, x).double()
    assert (box.least["y"] <= y).all() and (y <= box.most["y"]).all()
    # Some 10 layers of sums of 40 products, each 2**-24 of values up to 10.
    assert (box.most["y"] - box.least["y"]).max() < 0.02


@pytest.mark.parametrize("counted", [True, False])
def test_float32_would_leave_bounds_without_noise(tmp_path, draw, monkeypatch, counted):
    """Planted fault: nothing is given away for the file's precision."""
    weights = {
        "w": draw.normal(size=(40, 20)).astype(np.float32),
        "v": draw.normal(size=(20, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Relu", ["z"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    program = read_bounded(save(tmp_path / "n.onnx", nodes, weights, (40,)))
    if not counted:
        monkeypatch.setattr(module, "_gamma", lambda n, unit: 0.0)
    x = torch.from_numpy(draw.random((50, 40)).astype(np.float32)).double()
    box = intervals(program, x, x)
    y = run(tmp_path / "n.onnx", x).double()
    inside = (box.least["y"] <= y) & (y <= box.most["y"])
    assert inside.all() == counted


@pytest.mark.oracle
def test_dense_chains_are_bounded_as_the_complete_prover_bounds_them(tmp_path, draw):
    """What linear bounds certify, the other engine proves too; both on float64 weights."""
    network = make_network(draw, [6, 10, 10, 3], scale=0.6)
    path = write_onnx(network, tmp_path / "n.onnx")
    program = read_bounded(path)
    assert program.unit == 2.0**-53
    certified = 0
    for x in draw.uniform(0.2, 0.8, (8, 6)):
        label = int(network(x).argmax())
        for radius in (0.01, 0.05, 0.2):
            given = torch.from_numpy(x)[None], torch.tensor([label])
            found = certify_ball(program, *given, linf=radius)
            rows = [[float(j == label) - float(j == k) for j in range(3)] for k in range(3)]
            rows = [row for row in rows if any(row)]
            low, high = (x - radius).clip(0, 1), (x + radius).clip(0, 1)
            query = make_query(low, high, rows, [0.0, 0.0], np.eye(2, dtype=bool))
            if found.holds[0]:
                certified += 1
                assert decide(read_affine(path), query).outcome == "unsat"
    assert certified > 5


def test_a_batch_is_bounded_as_its_rows_are(image, draw):
    program = read_bounded(image)
    x = torch.from_numpy(draw.random((3, 2, 6, 6))).float()
    labels = torch.tensor([0, 1, 2])
    together = certify_ball(program, x, labels, linf=0.01)
    for i in range(3):
        alone = certify_ball(program, x[i : i + 1], labels[i : i + 1], linf=0.01)
        assert alone.holds[0] == together.holds[i]
        torch.testing.assert_close(alone.margin[0], together.margin[i], rtol=1e-6, atol=1e-9)


def test_no_wrong_class_is_certified(image, draw):
    program = read_bounded(image)
    x = torch.from_numpy(draw.random((6, 2, 6, 6))).float()
    wrong = run(image, x).argmin(1)
    for radius in (0.0, 0.01, 0.3):
        assert not certify_ball(program, x, wrong, linf=radius).holds.any()


def test_numbers_that_are_none_certify_nothing(tmp_path, draw):
    model = onnx.load(image_network(tmp_path / "n.onnx", draw))
    x = torch.full((1, 2, 6, 6), 0.5)
    tried = 0
    for bad in (np.nan, np.inf):
        for i, tensor in enumerate(model.graph.initializer):
            array = numpy_helper.to_array(tensor).copy()
            if array.dtype != np.float32 or (tensor.name == "std" and bad == np.inf):
                continue  # a division by infinity is 0
            array.flat[0] = bad
            spoiled = onnx.ModelProto()
            spoiled.CopyFrom(model)
            spoiled.graph.initializer[i].CopyFrom(numpy_helper.from_array(array, tensor.name))
            content = spoiled.SerializeToString()
            y = run(content, x)[0]
            if y.isfinite().all():
                continue  # a sigmoid or a variance swallowed it
            tried += 1
            program = read_bounded(content)
            rows = x.expand(3, -1, -1, -1)
            holds = certify_ball(program, rows, torch.arange(3), linf=0.1, steps=0).holds
            for label in range(3):
                others = [k for k in range(3) if k != label]
                assert not (holds[label] and not (y[label] > y[others]).all()), tensor.name
    assert tried > 8


def test_gradients_reach_the_weights(tmp_path, draw):
    """Bounds can be trained on."""
    from netwright.artefact._file import load_model
    from netwright.artefact._graph import from_seam, parse_graph
    from netwright.audits.verify import read_program

    graph = from_seam(parse_graph(load_model(image_network(tmp_path / "n.onnx", draw))))
    floats = {n: t for n, t in graph.initializers.items() if t.is_floating_point()}
    weights = {n: t for n, t in floats.items() if n not in ("m", "v")}  # statistics
    for tensor in weights.values():
        tensor.requires_grad_()
    x = torch.full((2, 2, 6, 6), 0.5, dtype=torch.float64)
    box = intervals(read_program(graph), x - 0.01, x + 0.01)
    linear_bounds(box, "y", unit_rows(2)).sum().backward()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in weights.values())


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (helper.make_node("Tan", ["x"], ["y"]), "Tan"),
        (helper.make_node("Hardmax", ["x"], ["y"]), "Hardmax"),
        (helper.make_node("Einsum", ["x", "x"], ["y"], equation="ni,nj->ij"), "Einsum"),
        (helper.make_node("Pow", ["w", "x"], ["y"]), "Pow"),
    ],
)
def test_operations_without_bounds_are_named(tmp_path, node, says):
    path = save(tmp_path / "n.onnx", [node], {"w": np.ones((3, 3), np.float32)}, (3,))
    with pytest.raises(NetworkError, match=says):
        read_bounded(path)


def test_graphs_that_mix_rows_are_refused(tmp_path):
    nodes = [helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])]
    with pytest.raises(NetworkError, match="rows of a batch apart"):
        read_bounded(save(tmp_path / "n.onnx", nodes, {}, (3,)))
    nodes = [helper.make_node("ReduceMean", ["x", "first"], ["m"]),
             helper.make_node("Sub", ["x", "m"], ["y"])]  # fmt: skip
    program = read_bounded(save(tmp_path / "n.onnx", nodes, {"first": np.array([0])}, (3,)))
    with pytest.raises(NetworkError, match="rows of a batch apart"):
        certify_ball(program, torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), linf=0.1)


def test_a_negative_distance_is_refused(tmp_path, draw):
    program = read_bounded(image_network(tmp_path / "n.onnx", draw))
    with pytest.raises(ValueError, match="`linf` must not be negative"):
        certify_ball(program, torch.zeros(1, 2, 6, 6), torch.tensor([0]), linf=-0.1)
