import numpy as np
import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.measure import footprint, macs, memory


def onnx_file(path, floats):
    """A graph that adds a constant of so many float32 numbers to its input and sums."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.full(floats, 0.5, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["s"]), helper.make_node("ReduceSum", ["s"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def test_a_known_weight_is_seen(tmp_path):
    one = {"x": np.ones(1, np.float32)}
    small = memory(onnx_file(tmp_path / "small.onnx", 1000), one, processes=1)
    large = memory(onnx_file(tmp_path / "large.onnx", 10_000_000), one, processes=1)
    # The weight and the sum, 40 MB each, at least; loading copies the weight a few times.
    assert 80e6 <= large.value - small.value <= 400e6
    assert small.value < 40e6  # neither torch nor this process is in it
    assert (large.unit, large.method, large.n) == ("bytes", "range", 1)


def test_range_over_processes(tmp_path):
    found = memory(onnx_file(tmp_path / "m.onnx", 1000), {"x": np.ones(1, np.float32)}, processes=2)
    assert found.low <= found.high == found.value
    assert "largest of 2 processes" in found.note


def test_errors_come_with_the_childs_reason(tmp_path):
    path = onnx_file(tmp_path / "m.onnx", 4)
    with pytest.raises(ValueError, match="could not be run in a process of its own: .*"):
        memory(path, {"wrong": np.ones(1, np.float32)}, processes=1)
    with pytest.raises(ValueError, match="`processes` must be at least 1; got 0"):
        memory(path, {}, processes=0)
    with pytest.raises(ValueError, match="did not finish ten runs within 0.001 s"):
        memory(path, {"x": np.ones(1, np.float32)}, processes=1, seconds=0.001)


def test_footprint_adds_up_by_hand():
    with seeded(0):
        network = nn.Sequential(nn.Linear(100, 10), nn.ReLU(), nn.Linear(10, 50))
    found = footprint(macs(network, torch.zeros(8, 100)))
    weights = 4 * (1010 + 550)
    assert found.parameters == weights
    assert found.largest_layer == 8 * 4 * (100 + 10)
    assert found.activations == 8 * 4 * (10 + 10 + 50)
    assert found.inference == weights + 8 * 4 * 110
    assert found.training == 4 * weights + 8 * 4 * 70
