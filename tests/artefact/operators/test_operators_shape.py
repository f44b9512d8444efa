"""Shapes, slices, look-ups and reductions against ONNX Runtime."""

import pytest
import torch

pytestmark = pytest.mark.oracle
LARGE = 2**63 - 1


@pytest.fixture
def x(generator):
    return torch.randn(2, 3, 4, generator=generator)


def ints(*values):
    return torch.tensor(values)


def test_reshape(agrees, x):
    assert agrees("Reshape", x, ints(-1, 6))
    assert agrees("Reshape", x, ints(0, -1))
    assert agrees("Reshape", x[:0], ints(0, 12), allowzero=1)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_flatten(agrees, x, axis):
    assert agrees("Flatten", x, axis=axis)


def test_transpose(agrees, x):
    assert agrees("Transpose", x)
    assert agrees("Transpose", x, perm=[1, 0, 2])


def test_squeeze_and_unsqueeze(agrees, x):
    flat = x[:1, :, :1].contiguous()
    assert agrees("Squeeze", flat)
    assert agrees("Squeeze", flat, ints(-1))
    assert agrees("Squeeze", flat, axes=[0, 2], opset=11)
    assert agrees("Unsqueeze", x, ints(0, -1))
    assert agrees("Unsqueeze", x, axes=[1, 3], opset=11)


def test_concat_and_split(agrees, x):
    assert agrees("Concat", x, x, axis=-1)
    assert agrees("Split", x, ints(1, 3), axis=2, n_outputs=2)
    assert agrees("Split", x, axis=1, num_outputs=2, n_outputs=2)  # 2 and 1
    assert agrees("Split", x, axis=2, split=[3, 1], n_outputs=2, opset=11)
    assert agrees("Split", x, axis=2, n_outputs=2, opset=11)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [3], [2], [1]),
        ([0, 1], [2, LARGE], [0, 1], [1, 2]),
        ([-1], [-LARGE], [2], [-1]),
        ([3], [0], [2], [-2]),
        ([5], [9], [2], [1]),
        ([-2], [LARGE], [-1], [1]),
        ([-9], [2], [2], [1]),
    ],
)
def test_slice(agrees, x, starts, ends, axes, steps):
    assert agrees("Slice", x, ints(*starts), ints(*ends), ints(*axes), ints(*steps))


def test_slice_of_older_sets(agrees, x):
    assert agrees("Slice", x, starts=[1, 0], ends=[3, 2], opset=9)
    assert agrees("Slice", x, starts=[1], ends=[-1], axes=[2], opset=9)


def test_gather(agrees, x):
    assert agrees("Gather", x, torch.tensor([[0, -1], [2, 1]]), axis=1)
    assert agrees("Gather", x, torch.tensor(1), axis=2)
    assert agrees("Gather", x[0, 0].contiguous(), torch.tensor(-1))
    assert agrees("GatherElements", x, torch.tensor([[[0, -1, 2, 1]]]), axis=1)
    assert agrees("GatherND", x, torch.tensor([[0, 1], [1, 2]]))
    assert agrees("GatherND", x, torch.tensor([[[0, 1]], [[2, 3]]]), batch_dims=1)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter(agrees, x, reduction):
    places, updates = torch.tensor([[[1, 0, -1, 1]]]), torch.full((1, 1, 4), 2.0)
    assert agrees("ScatterElements", x, places, updates, axis=1, reduction=reduction)


@pytest.mark.parametrize("reduction", ["none", "add"])
def test_scatter_nd(agrees, x, reduction):
    places = torch.tensor([[0, 1], [1, 2]])
    assert agrees("ScatterND", x, places, torch.ones(2, 4), reduction=reduction)


def test_expand_and_tile(agrees, x):
    assert agrees("Expand", x[:, :1].contiguous(), ints(2, 3, 1))
    assert agrees("Expand", x, ints(5, 1, 1, 1))
    assert agrees("Tile", x, ints(1, 2, 3))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad(agrees, x, mode):
    assert agrees("Pad", x, ints(0, 1, 2, 0, 2, 1), mode=mode)


def test_pad_with_a_value_on_chosen_axes_and_by_less_than_nothing(agrees, x):
    assert agrees("Pad", x, ints(1, 2), torch.tensor(3.0), ints(-1))
    assert agrees("Pad", x, ints(0, 0, -1, 0, 1, 0))
    assert agrees("Pad", x, pads=[0, 0, 1, 0, 0, 1], value=2.0, opset=10)


def test_shapes_as_numbers(agrees, x):
    assert agrees("Shape", x)
    assert agrees("Shape", x, start=1, end=-1)
    assert agrees("Size", x)
    assert agrees("ConstantOfShape", ints(2, 3))
    assert agrees("ConstantOfShape", ints(2, 3), value=torch.tensor([7]))
    assert agrees("Range", torch.tensor(1), torch.tensor(10), torch.tensor(3), fed=3)
    assert agrees("Range", torch.tensor(1.0), torch.tensor(-1.0), torch.tensor(-0.5), fed=3)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(agrees, generator, mode):
    assert agrees(
        "DepthToSpace", torch.randn(2, 8, 3, 4, generator=generator), blocksize=2, mode=mode
    )


def test_space_to_depth_one_hot_trilu_non_zero(agrees, x, generator):
    assert agrees("SpaceToDepth", torch.randn(2, 3, 4, 6, generator=generator), blocksize=2)
    values = torch.tensor([-1.0, 2.0])
    assert agrees("OneHot", torch.tensor([0, -1, 2]), torch.tensor(4), values)
    assert agrees("OneHot", torch.tensor([[0, 1]]), torch.tensor(3), values, axis=1)
    assert agrees("Trilu", x)
    assert agrees("Trilu", x, torch.tensor(-1), upper=0)
    assert agrees("NonZero", x.round())


REDUCTIONS = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1"]
REDUCTIONS += ["ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"]


@pytest.mark.parametrize("op", REDUCTIONS)
def test_reduction(agrees, op, x):
    assert agrees(op, x)
    assert agrees(op, x, ints(0, -1), keepdims=0)
    assert agrees(op, x, ints(1), keepdims=1)
    assert agrees(op, x, axes=[1], opset=12 if op == "ReduceSum" else 13)
    assert agrees(op, x, noop_with_empty_axes=0)


def test_reduce_log_sum_and_no_operation(agrees, x):
    assert agrees("ReduceLogSum", x.abs(), ints(1))
    assert agrees("ReduceSum", x, noop_with_empty_axes=1)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_place_of_extremum(agrees, op, x):
    assert agrees(op, x, axis=1)
    assert agrees(op, x.round(), axis=2, keepdims=0)
    assert agrees(op, x.round(), axis=2, select_last_index=1)


def test_top_k(agrees, x):
    assert agrees("TopK", x.round(), ints(2), n_outputs=2)
    assert agrees("TopK", x, ints(2), n_outputs=2, axis=1, largest=0)
    assert agrees("TopK", x, k=3, n_outputs=2, opset=9)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cumulative_sum(agrees, x, exclusive, reverse):
    assert agrees("CumSum", x, torch.tensor(1), exclusive=exclusive, reverse=reverse)
