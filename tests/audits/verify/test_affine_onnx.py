"""Networks are taken out of files exactly, or within an error that is known."""

from fractions import Fraction

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from netwright.artefact import to_onnx
from netwright.audits.verify import NetworkError, read_affine, read_nnet
from netwright.data import load
from netwright.design import build_network, portfolio

from .conftest import make_network, write_onnx


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = session.get_inputs()[0]
    return np.stack([session.run(None, {fed.name: one[None]})[0].ravel() for one in x])


def chain(path, nodes, weights, shape, out):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


@pytest.fixture
def normal(draw):
    return lambda *shape: draw.normal(size=shape).astype(np.float32)


@pytest.mark.oracle
def test_a_convolutional_chain_computes_what_onnx_runtime_does(tmp_path, normal):
    weights = {
        "w": normal(3, 2, 3, 3), "b": normal(3), "scale": normal(3), "shift": normal(3),
        "mean": normal(3), "var": np.abs(normal(3)) + 0.1, "v": normal(12, 4), "c": normal(4),
        "d": normal(1, 2, 1, 1),
    }  # fmt: skip
    nodes = [
        helper.make_node("Sub", ["x", "d"], ["x0"]),
        helper.make_node("Conv", ["x0", "w", "b"], ["x1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["x1", "scale", "shift", "mean", "var"], ["x2"]),
        helper.make_node("Relu", ["x2"], ["x3"]),
        helper.make_node("AveragePool", ["x3"], ["x4"], kernel_shape=[2, 2], pads=[0, 0, 1, 1],
                         strides=[2, 2], count_include_pad=1),
        helper.make_node("Flatten", ["x4"], ["x5"]),
        helper.make_node("MatMul", ["x5", "v"], ["x6"]),
        helper.make_node("Add", ["x6", "c"], ["y"]),
    ]  # fmt: skip
    path = chain(tmp_path / "n.onnx", nodes, weights, [1, 2, 6, 6], [1, 4])
    network = read_affine(path)
    x = normal(5, 2, 6, 6)
    ours = network(x.reshape(5, -1).astype(float))
    # ONNX Runtime adds up some 50 float32 products a layer.
    np.testing.assert_allclose(ours, run(path, x), rtol=2e-4, atol=2e-4)
    assert [w.shape for w in network.weights] == [(27, 72), (4, 27)]


def test_weights_that_are_only_copied_are_exact(tmp_path, draw):
    made = make_network(draw, [3, 5, 2])
    network = read_affine(write_onnx(made, tmp_path / "n.onnx"))
    assert network.weight_errors == (None, None) and network.bias_errors == (None, None)
    for a, b in zip(network.weights + network.biases, made.weights + made.biases, strict=True):
        assert (a == b).all()


def test_layers_multiplied_out_know_their_error(tmp_path, draw):
    """Two products in a row: the true entries, as fractions, lie within the stated errors."""
    a, b = draw.normal(size=(2, 4, 4)).astype(np.float32)
    c, d = draw.normal(size=(2, 4)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["x0"]),
        helper.make_node("Add", ["x0", "c"], ["x1"]),
        helper.make_node("MatMul", ["x1", "b"], ["x2"]),
        helper.make_node("Add", ["x2", "d"], ["y"]),
    ]
    path = chain(tmp_path / "n.onnx", nodes, {"a": a, "b": b, "c": c, "d": d}, [1, 4], [1, 4])
    network = read_affine(path)
    (weight,), (error,) = network.weights, network.weight_errors
    (bias,), (bias_error,) = network.biases, network.bias_errors
    assert error is not None and bias_error is not None
    assert error.max() < 1e-13
    for i in range(4):
        for j in range(4):
            true = sum(Fraction(float(a[j, k])) * Fraction(float(b[k, i])) for k in range(4))
            assert abs(true - Fraction(weight[i, j])) <= Fraction(error[i, j])
        true = sum(Fraction(float(c[k])) * Fraction(float(b[k, i])) for k in range(4))
        true += Fraction(float(d[i]))
        assert abs(true - Fraction(bias[i])) <= Fraction(bias_error[i])


def test_netwright_files_are_read_from_their_seam(tmp_path):
    task = load("digits", seed=0)
    network = build_network(portfolio(task.schema, 1000)[0], task.schema, seed=0).eval()
    x = task.train.take(range(4))
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(network, task.schema, sample=x))
    layers = read_affine(path)
    with torch.no_grad():
        theirs = network(x).numpy()
    # float32 against float64
    np.testing.assert_allclose(layers(x.double().numpy().reshape(4, -1)), theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([helper.make_node("Sigmoid", ["x"], ["y"])], "Sigmoid"),
        ([helper.make_node("Mul", ["x", "x"], ["y"])], "Mul"),
        ([helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Add", ["x", "r"], ["y"])],
         "branches"),
        ([helper.make_node("Softmax", ["x"], ["y"])], "Softmax"),
    ],
)  # fmt: skip
def test_other_graphs_are_refused_by_name(tmp_path, nodes, says):
    path = chain(tmp_path / "n.onnx", nodes, {}, [1, 4], [1, 4])
    with pytest.raises(NetworkError, match=says):
        read_affine(path)


NNET = """// a comment
2,2,2,3,
2,3,2,
0,
-1,-2,
1,2,
0.5,0,7
2,4,3
1,2,
3,4,
5,6,
0.5,
-0.5,
0.25,
1,-1,1,
0,1,0,
9,
8,
"""


def test_a_nnet_file(tmp_path):
    path = tmp_path / "n.nnet"
    path.write_text(NNET)
    found = read_nnet(path)
    assert (found.low, found.high) == ((-1.0, -2.0), (1.0, 2.0))
    assert (found.mean, found.span) == ((0.5, 0.0, 7.0), (2.0, 4.0, 3.0))
    np.testing.assert_array_equal(
        found.network(np.array([1.0, 1.0])), [3.5 - 6.5 + 11.25 + 9, 14.5]
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NNET[: NNET.index("9,")], "should hold 2 rows"),
        (NNET.replace("5,6,", "5,6,7,"), "should hold 3 rows of 2"),
        (NNET.replace("5,6,", "5,x,"), "not a .nnet text file"),
        ("1,2\n", "at least 8"),
    ],
)
def test_damaged_nnet_files_are_refused(tmp_path, text, says):
    path = tmp_path / "n.nnet"
    path.write_text(text)
    with pytest.raises(NetworkError, match=says):
        read_nnet(path)
