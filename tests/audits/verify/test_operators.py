"""Every operator's bounds hold for what ONNX Runtime computes at thousands of points."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from netwright.artefact import Session
from netwright.audits.verify import (
    NetworkError,
    certify_ball,
    intervals,
    linear_bounds,
    optimised_bounds,
    read_bounded,
    tighten,
    zonotopes,
)

make = helper.make_node
W = 8


def unary(op, shift=0.0, **attributes):
    return [make(op, ["h"], ["z"], **attributes)], (W,), shift, {}


def shaped(shape, nodes, shift=0.0, **extra):
    weights = {"to": np.array([-1, *shape]), **{k: np.array(v) for k, v in extra.items()}}
    return [make("Reshape", ["h", "to"], ["m"]), *nodes], shape, shift, weights


def rounds(kind):
    """Quantise and dequantise, some channels saturating."""
    weights = {"s": np.float32(0.05), "zp": kind(3)}
    nodes = [make("QuantizeLinear", ["h", "s", "zp"], ["q"]),
             make("DequantizeLinear", ["q", "s", "zp"], ["z"])]  # fmt: skip
    return nodes, (W,), 0.0, weights


F = np.float32
CASES = {
    "abs": unary("Abs"),
    "celu": unary("Celu", alpha=0.7),
    "ceil": unary("Ceil"),
    "concat": shaped((2, 4), [make("Relu", ["m"], ["r"]),
                              make("Concat", ["r", "m"], ["z"], axis=2)]),
    "conv transposed": shaped((2, 2, 2), [make("ConvTranspose", ["m", "k"], ["z"], strides=[2, 2],
                                               pads=[1, 1, 1, 1])],
                              k=np.random.default_rng(5).normal(size=(2, 3, 3, 3)).astype(F)),
    "cos": unary("Cos"),
    "cumsum": shaped((2, 4), [make("CumSum", ["m", "axis"], ["z"])], axis=2),
    "divided by": shaped((2, 4), [make("Split", ["m"], ["a", "b"], axis=1, num_outputs=2),
                                  make("Exp", ["b"], ["e"]), make("Div", ["a", "e"], ["z"])]),
    "divided constant": ([make("Div", ["c", "h"], ["z"])], (W,), 9.0, {"c": np.full(8, -2.0, F)}),
    "elu": unary("Elu", alpha=1.5),
    "erf": unary("Erf"),
    "exp": unary("Exp"),
    "floor": unary("Floor"),
    "gather": shaped((2, 4), [make("Gather", ["m", "i"], ["z"], axis=2)], i=[3, 0, 0]),
    "gelu": unary("Gelu"),
    "gelu tanh": unary("Gelu", approximate="tanh"),
    "hard swish": unary("HardSwish"),
    "instance norm": shaped((2, 4), [make("InstanceNormalization", ["m", "s", "b"], ["z"])],
                            s=np.array([1, -2], F), b=np.array([1, 0], F)),
    "layer norm": shaped((2, 4), [make("LayerNormalization", ["m", "s", "b"], ["z"])],
                         s=np.array([1, -2, 1, 0.5], F), b=np.array([1, 0, 0, 0], F)),
    "leaky": unary("LeakyRelu", alpha=0.2),
    "leaky steep": unary("LeakyRelu", alpha=1.5),
    "log": unary("Log", 9.0),
    "log softmax": unary("LogSoftmax"),
    "log sum exp": shaped((2, 4), [make("ReduceLogSumExp", ["m", "axes"], ["z"], keepdims=0)],
                          axes=[1]),
    "look-up": ([make("Floor", ["h"], ["f"]), make("Clip", ["f", "lo", "hi"], ["c"]),
                 make("Cast", ["c"], ["i"], to=TensorProto.INT64),
                 make("Gather", ["table", "i"], ["z"])], (W, 2), 2.0,
                {"lo": np.float32(0), "hi": np.float32(4),
                 "table": np.random.default_rng(6).normal(size=(5, 2)).astype(F)}),
    "max": shaped((2, 4), [make("Split", ["m"], ["a", "b"], axis=1, num_outputs=2),
                           make("Max", ["a", "b", "c"], ["z"])], c=np.array([0, -1, 1, 0], F)),
    "max infinite": ([make("Max", ["h", "c"], ["z"])], (W,), 0.0,
                     {"c": np.array([0, -np.inf] * 4, F)}),
    "max pool": shaped((2, 4), [make("MaxPool", ["m"], ["z"], kernel_shape=[2])]),
    "mean": ([make("Relu", ["h"], ["r"]), make("Mean", ["h", "r", "c"], ["z"])], (W,), 0.0,
             {"c": np.ones(8, F)}),
    "min": shaped((2, 4), [make("Split", ["m"], ["a", "b"], axis=1, num_outputs=2),
                           make("Min", ["a", "b", "c"], ["z"])], c=np.array([0, -1, 1, 0], F)),
    "min infinite": ([make("Min", ["h", "c"], ["z"])], (W,), 0.0,
                     {"c": np.array([0, np.inf] * 4, F)}),
    "mish": unary("Mish"),
    "pad": shaped((2, 4), [make("Pad", ["m", "p", "v"], ["z"])], p=[0, 0, 1, 0, 1, 0],
                  v=np.float32(0.3)),
    "power half": ([make("Pow", ["h", "p"], ["z"])], (W,), 9.0, {"p": np.float32(0.5)}),
    "power two": ([make("Pow", ["h", "p"], ["z"])], (W,), 0.0, {"p": np.float32(2.0)}),
    "prelu": ([make("PRelu", ["h", "s"], ["z"])], (W,), 0.0,
              {"s": np.array([0.1, -0.5, 2, 1] * 2, F)}),
    "product of matrices": shaped((2, 4), [make("Transpose", ["m"], ["t"], perm=[0, 2, 1]),
                                           make("MatMul", ["m", "t"], ["z"])]),
    "quantised, signed": rounds(np.int8),
    "quantised, unsigned": rounds(np.uint8),
    "reciprocal": unary("Reciprocal", 9.0),
    "reciprocal below": unary("Reciprocal", -9.0),
    "reduce l1": shaped((2, 4), [make("ReduceL1", ["m", "axes"], ["z"])], axes=[2]),
    "reduce max": shaped((2, 4), [make("ReduceMax", ["m", "axes"], ["z"], keepdims=0)], axes=[1]),
    "reduce min": shaped((2, 4), [make("ReduceMin", ["m", "axes"], ["z"], keepdims=0)], axes=[1]),
    "reduce squares": shaped((2, 4), [make("ReduceSumSquare", ["m", "axes"], ["z"])], axes=[1]),
    "resize": shaped((2, 2, 2), [make("Resize", ["m", "", "by"], ["z"], mode="linear")],
                     by=np.array([1, 1, 2, 2], F)),
    "round": unary("Round"),
    "rows moved": ([make("Transpose", ["h"], ["t"], perm=[1, 0]),
                    make("GatherND", ["t", "i"], ["g"]), make("Relu", ["g"], ["r"]),
                    make("Transpose", ["r"], ["z"], perm=[1, 0])], (2,), 0.0,
                   {"i": np.array([[0], [5]])}),
    "selu": unary("Selu"),
    "sign": unary("Sign"),
    "sin": unary("Sin"),
    "softmax": unary("Softmax"),
    "softmax, sharp": ([make("Mul", ["h", "k"], ["s"]), make("Softmax", ["s"], ["z"])], (W,), 0.0,
                       {"k": np.float32(40.0)}),
    "softplus": unary("Softplus"),
    "softsign": unary("Softsign"),
    "split": shaped((2, 4), [make("Split", ["m", "n"], ["a", "c", "b"], axis=2),
                             make("Mul", ["a", "b"], ["z"])], n=[1, 2, 1]),
    "sqrt": unary("Sqrt", 9.0),
    "square": ([make("Mul", ["h", "h"], ["z"])], (W,), 0.0, {}),
    "where": ([make("Relu", ["h"], ["r"]), make("Where", ["c", "h", "r"], ["w"]),
               make("Where", ["c", "d", "w"], ["z"])], (W,), 0.0,
              {"c": np.array([True, False] * 4), "d": np.full(8, 0.5, F)}),
    "without missing": ([make("IsNaN", ["h"], ["n"]), make("Where", ["n", "c", "h"], ["w"]),
                         make("Cast", ["n"], ["f"], to=1), make("Concat", ["w", "f"], ["z"],
                                                                axis=1)],
                        (16,), 0.0, {"c": np.full(8, 0.5, F)}),
    "what is present": ([make("IsNaN", ["h"], ["n"]), make("Not", ["n"], ["p"]),
                         make("Cast", ["p"], ["f"], to=1), make("CumSum", ["f", "axis"], ["s"]),
                         make("Greater", ["s", "c"], ["g"]), make("Cast", ["g"], ["m"], to=1),
                         make("Mul", ["h", "m"], ["k"]), make("Div", ["k", "s"], ["z"])],
                        (W,), 0.0, {"c": np.full(1, 1.5, F), "axis": np.array(1)}),
}  # fmt: skip


def network(path, name):
    """Linear, the operator, linear: its slopes and its intervals both count."""
    nodes, _, shift, weights = CASES[name]
    draw = np.random.default_rng(len(name))
    weights = {k: np.asarray(v) for k, v in weights.items()}
    weights |= {"in/w": (1.2 * draw.normal(size=(6, W))).astype(F),
                "in/b": (0.5 * draw.normal(size=W) + shift).astype(F)}  # fmt: skip
    nodes = [make("MatMul", ["x", "in/w"], ["in"]), make("Add", ["in", "in/b"], ["h"]), *nodes]
    y = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    fed = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])]
    opset = [helper.make_opsetid("", 20)]

    def save(nodes, output):
        held = [numpy_helper.from_array(v, k) for k, v in weights.items()]
        graph = helper.make_graph(nodes, "g", fed, [output], held)
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)

    save(nodes, y)
    made = Session(path).predict(torch.zeros(2, 6))
    width = made[0].numel()
    weights |= {"out/to": np.array([-1, width]), "out/w": draw.normal(size=(width, 3)).astype(F)}
    nodes += [make("Reshape", ["z", "out/to"], ["out"]), make("MatMul", ["out", "out/w"], ["y"])]
    save(nodes, helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3]))
    return path


def extremes(program, low, high):
    """Points where gradients drive each output down and up."""
    found = []
    for k in range(3):
        for sign in (-1.0, 1.0):
            x = ((low + high) / 2).requires_grad_()
            for _ in range(4):
                y = sign * program.run(x)[:, k].sum()
                slope = torch.autograd.grad(y, x)[0] if y.requires_grad else torch.ones_like(x)
                x = torch.where(slope > 0, high, torch.where(slope < 0, low, x.detach()))
                found.append(x)
                x = x.detach().requires_grad_()
    return torch.cat(found)


def left(path, *, radius, tight=True):
    """Count outputs of ONNX Runtime outside of any bound, of 4,000 points and attacks."""
    program, session = read_bounded(path), Session(path)
    draw = torch.Generator().manual_seed(1)
    x = torch.rand(1, 6, generator=draw, dtype=torch.float64)
    low, high = x - radius, x + radius
    unit = torch.eye(3, dtype=torch.float64)[:, None]
    with torch.no_grad():
        box = intervals(program, low, high)
        pairs = [(box.least[program.target], box.most[program.target])]
        for _ in range(2 if tight else 1):
            pairs.append((linear_bounds(box, program.target, unit).T,
                          -linear_bounds(box, program.target, -unit).T))  # fmt: skip
            tighten(box)
    pairs.append((optimised_bounds(box, program.target, unit, steps=2).T, pairs[-1][1]))
    shares = torch.rand(4000, 6, generator=draw, dtype=torch.float64)
    shares[:2000] = shares[:2000].round()
    points = torch.cat([low + shares * (high - low), extremes(program, low, high)])
    points = points.float()
    points = points[((points >= low) & (points <= high)).all(1)]
    assert len(points) > 1000
    y = session.predict(points).double()
    return sum(int((y < a).sum() + (y > b).sum()) for a, b in pairs), pairs


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_no_point_leaves_the_bounds(name, tmp_path):
    path = network(tmp_path / "n.onnx", name)
    for radius in (0.02, 0.3):
        outside, pairs = left(path, radius=radius)
        assert outside == 0, (name, radius)
        assert all((a <= b).all() for a, b in pairs), (name, radius)  # and so no NaN


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_bounds_of_a_point_close_up(name, tmp_path):
    path = network(tmp_path / "n.onnx", name)
    width = [float((b - a).max()) for a, b in left(path, radius=0.0005)[1]][2]
    # Steps may jump, and do not close; others change by at most some 30 times the distance.
    jumps = ("ceil", "floor", "look-up", "quantised", "round", "sign")
    assert name.startswith(jumps) or width < (2.0 if "sharp" in name else 0.2)


@pytest.mark.parametrize("name", ["log", "sqrt", "reciprocal", "divided constant", "power half"])
def test_outside_of_its_domain_a_function_certifies_nothing(name, tmp_path):
    path = network(tmp_path / "n.onnx", name)
    found = certify_ball(
        read_bounded(path), torch.zeros(3, 6), torch.arange(3), linf=50.0, least=-50, most=50
    )
    assert not found.holds.any()


@pytest.mark.parametrize("name", CASES)
def test_nan_certifies_nothing(name, tmp_path):
    model = onnx.load(network(tmp_path / "n.onnx", name))
    for tensor in model.graph.initializer:
        if tensor.name == "in/b":
            tensor.CopyFrom(numpy_helper.from_array(np.full(W, np.nan, F), tensor.name))
    program = read_bounded(model.SerializeToString())
    for steps in (0, 2):
        found = certify_ball(program, torch.zeros(3, 6), torch.arange(3), linf=0.1, steps=steps)
        assert not found.holds.any()
    box = zonotopes(program, torch.zeros(1, 6).double(), torch.ones(1, 6).double())
    assert not (box.least[program.target] > box.most[program.target]).any()


def test_a_graph_that_mixes_rows_on_the_way_is_refused(tmp_path):
    nodes = [make("Transpose", ["x"], ["t"], perm=[1, 0]),
             make("ReduceMean", ["t", "one"], ["m"]), make("Sub", ["t", "m"], ["d"]),
             make("Transpose", ["d"], ["y"], perm=[1, 0])]  # fmt: skip
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 6]) for n in "xy"]
    held = [numpy_helper.from_array(np.array([1]), "one")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], held)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "n.onnx")
    with pytest.raises(NetworkError, match="rows of a batch"):
        read_bounded(tmp_path / "n.onnx")
