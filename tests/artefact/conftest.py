import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

from netwright.artefact._graph import parse_graph
from netwright.artefact._read_onnx import OnnxNetwork

KINDS = {
    torch.float32: onnx.TensorProto.FLOAT,
    torch.float64: onnx.TensorProto.DOUBLE,
    torch.int64: onnx.TensorProto.INT64,
    torch.int32: onnx.TensorProto.INT32,
    torch.int8: onnx.TensorProto.INT8,
    torch.uint8: onnx.TensorProto.UINT8,
    torch.bool: onnx.TensorProto.BOOL,
}


def one_node(op, inputs, attributes, *, opset, n_outputs, fixed):
    """A graph of one node; `fixed` inputs are initializers, the first is always fed."""
    names = ["" if x is None else f"in{i}" for i, x in enumerate(inputs)]
    attributes = {
        k: numpy_helper.from_array(v.numpy()) if isinstance(v, torch.Tensor) else v
        for k, v in attributes.items()
    }
    made = [f"out{i}" for i in range(n_outputs)]
    node = helper.make_node(op, names, made, **attributes)
    values = [(n, x) for n, x in zip(names, inputs, strict=True) if x is not None]
    graph = helper.make_graph(
        [node],
        "case",
        [helper.make_tensor_value_info(n, KINDS[x.dtype], x.shape) for n, x in values[:fixed]],
        [onnx.ValueInfoProto(name=name) for name in made],
        [numpy_helper.from_array(x.numpy(), n) for n, x in values[fixed:]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    return model, {n: x.numpy() for n, x in values[:fixed]}


def with_onnx_runtime(model, feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)


def with_torch(model, feed):
    graph = parse_graph(model)
    values = {name: torch.from_numpy(array) for name, array in feed.items()}
    ((_, made),) = OnnxNetwork(graph).trace(values)
    return made


@pytest.fixture
def agrees():
    """Check that our execution of one node equals ONNX Runtime's."""

    def check(op, *inputs, opset=20, n_outputs=1, fed=1, atol=1e-5, **attributes):
        model, feed = one_node(op, inputs, attributes, opset=opset, n_outputs=n_outputs, fixed=fed)
        expected = with_onnx_runtime(model, feed)
        made = with_torch(model, feed)
        for ours, theirs in zip(made[:n_outputs], expected, strict=True):
            ours = ours.detach().numpy()
            assert ours.shape == theirs.shape
            if ours.dtype != theirs.dtype:  # whole numbers of quantised networks are kept as floats
                assert ours.dtype == np.float32 and theirs.dtype.kind in "iu"
            np.testing.assert_allclose(ours, theirs.astype(ours.dtype), rtol=1e-5, atol=atol)
        return True

    return check
