import tarfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from netwright._rng import seeded
from netwright.artefact import ArtefactError, UnsupportedOperator, read_onnx, to_onnx
from netwright.artefact._graph import parse_graph
from tests.artefact.shipped_networks import DIGITS, REVIEWS, bag_of_words, small_cnn

FLOAT = onnx.TensorProto.FLOAT


def value(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, inputs, outputs, initializers=(), opset=20, functions=()):
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        outputs,
        [numpy_helper.from_array(a, n) for n, a in dict(initializers).items()],
    )
    domains = {"": opset, **{f.domain: 1 for f in functions}}
    sets = [helper.make_opsetid(*d) for d in domains.items()]
    return helper.make_model(graph, opset_imports=sets, functions=functions, ir_version=10)


def run(model, x):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def export(network, x, *, dynamo):
    """What users bring: exports of torch, with either of its exporters."""
    import io
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            return torch.onnx.export(network, (x,), dynamo=True, verbose=False).model_proto
        buffer = io.BytesIO()
        axes = {"x": {0: "n"}, "y": {0: "n"}}
        torch.onnx.export(
            network,
            (x,),
            buffer,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
        )
        return onnx.load_from_string(buffer.getvalue())


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.gru = nn.GRU(8, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        states, _ = self.gru(self.layer(x))
        return self.head(states.amax(1))


def residual():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.GroupNorm(2, 8),
        nn.GELU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.ConvTranspose2d(8, 4, 3, stride=2, output_padding=1),
        nn.BatchNorm2d(4),
        nn.Hardswish(),
        nn.MaxPool2d(3, 2, 1),
        nn.Flatten(),
        nn.LazyLinear(5),
        nn.Softmax(dim=1),
    )


@pytest.mark.oracle
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [(residual, (2, 3, 9, 9)), (Attention, (2, 5, 8))],
    ids=["images", "sequences"],
)
def test_exports_of_torch_compute_and_differentiate_as_the_module(dynamo, make, shape, generator):
    x = torch.randn(*shape, generator=generator)
    with seeded(0):
        network = make().eval()
        network(x)
        if make is Attention:
            torch.backends.mha.set_fastpath_enabled(False)
        try:
            model = export(network, x, dynamo=dynamo)
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
    read = read_onnx(model)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    made, expected = read(ours), network(theirs)
    # Sums of up to 72 products of size 1 in float32, some in another order.
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made.detach(), run(model, x), atol=1e-5, rtol=1e-5)
    made.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.oracle
@pytest.mark.parametrize("archive", ["acasxu", "mnistfc"])
def test_networks_of_the_verification_competition_agree(shared_data, tmp_path, archive, generator):
    with tarfile.open(shared_data / "acasxu" / f"{archive}_vnncomp2021.tar.gz") as tar:
        members = [m for m in tar.getmembers() if m.name.endswith(".onnx")][::6]
        tar.extractall(tmp_path, members, filter="data")
    for member in members:
        read = read_onnx(tmp_path / member.name)
        shape = read.graph.inputs[0].shape
        x = torch.rand(20, *shape[1:], generator=generator) - 0.5
        model = onnx.load(tmp_path / member.name)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        expected = [session.run(None, {name: row.numpy()[None]})[0] for row in x]
        # The largest outputs are about 1000 (ACAS Xu) and 30 (MNIST).
        torch.testing.assert_close(
            read(x), torch.from_numpy(np.concatenate(expected)), rtol=1e-5, atol=1e-5
        )


def test_network_begins_at_the_seam_and_keeps_the_names_of_its_weights():
    network = small_cnn()
    model = onnx.load_from_string(to_onnx(network, DIGITS, sample=torch.zeros(1, 1, 8, 8)))
    read = read_onnx(model)
    assert read.graph.inputs[0].name == "features"
    assert [node.op for node in read.graph.nodes][-1] == "Gemm"
    assert {"5.weight", "5.bias", "0.weight"} <= set(dict(read.named_parameters()))
    assert [type(m).__name__ for m in read.modules()][1:] == [n.op for n in read.graph.nodes]
    assert not read.training and not any(p.requires_grad for p in read.parameters())


def test_text_network_takes_token_numbers():
    network = bag_of_words().eval()
    x = torch.tensor([[2, 3, 1, 6, 0, 0], [0] * 6])
    model = onnx.load_from_string(to_onnx(network, REVIEWS, sample=x))
    torch.testing.assert_close(read_onnx(model)(x), network(x))


def test_all_unsupported_operators_are_named_before_anything_runs():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Det", ["a"], ["b"]),
        helper.make_node("BitwiseNot", ["b"], ["c"]),
        helper.make_node("Det", ["c"], ["d"]),
        helper.make_node("MaxPool", ["d"], ["y", "places"], kernel_shape=[2, 2]),
        helper.make_node("FancyOp", ["y"], ["z"], domain="my.domain"),
    ]
    model = model_of(nodes, [value("x", ["n", 3, 3])], [value("z", None)])
    with pytest.raises(UnsupportedOperator) as caught:
        read_onnx(model)
    said = str(caught.value)
    for part in (
        "`c`",
        "Det (making `b`, `d`)",
        "MaxPool with the second output",
        "my.domain.FancyOp",
    ):
        assert part in said
    assert "Relu" not in said


LIMITS = [
    ("GRU", {"hidden_size": 2, "clip": 1.0}, 3, "clip"),
    ("LSTM", {"hidden_size": 2, "input_forget": 1}, 3, "input_forget"),
    ("RNN", {"hidden_size": 2, "activations": ["Elu"]}, 3, "activations Elu"),
    ("Resize", {"antialias": 1}, 1, "antialias"),
    ("Resize", {"coordinate_transformation_mode": "tf_crop_and_resize"}, 1, "tf_crop_and_resize"),
    ("Resize", {"keep_aspect_ratio_policy": "not_larger"}, 1, "keep_aspect_ratio_policy"),
    ("BatchNormalization", {"training_mode": 1}, 5, "training mode"),
    ("Dropout", {}, 3, "training mode"),
    ("Cast", {"to": 8}, 1, "to text"),
    ("ScatterND", {"reduction": "max"}, 3, "reduction=max"),
    ("QuantizeLinear", {}, 3, "a zero point that is computed"),
    ("DequantizeLinear", {"block_size": 4}, 2, "block_size"),
]


@pytest.mark.parametrize(("op", "attributes", "n_inputs", "limit"), LIMITS)
def test_unsupported_variants_are_named(op, attributes, n_inputs, limit):
    node = helper.make_node(op, ["x"] * n_inputs, ["y"], **attributes)
    with pytest.raises(UnsupportedOperator, match=f"{op} with .*{limit}"):
        read_onnx(model_of([node], [value("x", ["n", 3])], [value("y", None)]))


def test_node_that_fails_is_named_with_its_shapes():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = model_of(
        nodes, [value("x", ["n", None])], [value("y", None)], {"w": np.ones((3, 2), "f")}
    )
    with pytest.raises(
        ArtefactError, match=r"MatMul `y` cannot take inputs of shapes \(1, 4\), \(3, 2\)"
    ):
        read_onnx(model)(torch.ones(1, 4))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("fixed", [1, 3])
def test_fixed_batch_size_is_worked_around(rows, fixed, generator):
    # A softmax over everything would mix rows, were they run together.
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["a"]),
        helper.make_node("Softmax", ["a"], ["b"], axis=0),
        helper.make_node("Reshape", ["b", "back"], ["y"]),
    ]
    shapes = {"flat": np.array([-1]), "back": np.array([fixed, 2])}
    model = model_of(nodes, [value("x", [fixed, 2])], [value("y", [fixed, 2])], shapes)
    x = torch.randn(rows, 2, generator=generator)
    parts = x if rows % fixed == 0 else torch.cat([x, x[-1:].expand(-rows % fixed, 2)])
    expected = torch.cat([part.flatten().softmax(0).view(-1, 2) for part in parts.split(fixed)])
    torch.testing.assert_close(read_onnx(model)(x), expected[:rows])


def test_functions_in_the_file_are_expanded():
    double = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 20)],
    )  # fmt: skip
    node = helper.make_node("Twice", ["x"], ["y"], domain="mine")
    model = model_of([node], [value("x", ["n"])], [value("y", ["n"])], functions=[double])
    assert read_onnx(model)(torch.ones(2)).tolist() == [2.0, 2.0]


def test_constants_of_every_form_are_read():
    forms = {
        "value_float": 1.5,
        "value_floats": [1.0, 2.0],
        "value_int": 3,
        "value_ints": [4, 5],
        "value": numpy_helper.from_array(np.float32([[6]])),
    }
    nodes = [helper.make_node("Constant", [], [k], **{k: v}) for k, v in forms.items()]
    nodes.append(helper.make_node("Identity", ["x"], ["y"]))
    graph = parse_graph(model_of(nodes, [value("x", [1])], [value("y", [1])]))
    found = {k: graph.initializers[k].tolist() for k in forms}
    assert found == {**forms, "value": [[6.0]]}


@pytest.mark.parametrize(
    "kind", ["FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT16", "INT4", "BOOL"]
)
def test_weights_of_every_type_are_read(kind):
    number = getattr(onnx.TensorProto, kind)
    weight = helper.make_tensor("w", number, [2], [1, 0])
    model = model_of(
        [helper.make_node("Shape", ["w"], ["y"])], [value("x", [1])], [value("y", [1], 7)]
    )
    model.graph.initializer.append(weight)
    assert parse_graph(model).initializers["w"].tolist() == [1, 0]


def test_names_that_torch_would_refuse_are_kept_apart():
    names = ["a", "a.b", "forward", "train.w", "..", "0/w:0"]
    nodes, last = [], "x"
    for i, name in enumerate(names):
        nodes.append(helper.make_node("Add", [last, name], [f"y{i}"]))
        last = f"y{i}"
    weights = {n: np.float32([2.0**i]) for i, n in enumerate(names)}
    read = read_onnx(model_of(nodes, [value("x", ["n"])], [value(last, ["n"])], weights))
    assert read(torch.zeros(1)).item() == 63
    assert len(read.state_dict()) == 6
    assert read.double()(torch.zeros(1).double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("nodes", "fault"),
    [
        ([("Relu", ["lost"], ["y"])], "uses `lost` before it is made"),
        ([("Relu", ["x"], ["x"]), ("Relu", ["x"], ["y"])], "remakes `x`"),
        ([("Relu", ["x"], ["z"])], "no node makes its output `y`"),
    ],
)
def test_damaged_graphs_are_refused(nodes, fault):
    made = [helper.make_node(*node) for node in nodes]
    with pytest.raises(ArtefactError, match=fault):
        read_onnx(model_of(made, [value("x", ["n"])], [value("y", ["n"])]))


def test_graph_must_have_one_input():
    node = helper.make_node("Add", ["a", "b"], ["y"])
    model = model_of([node], [value("a", ["n"]), value("b", ["n"])], [value("y", ["n"])])
    with pytest.raises(ArtefactError, match="must have one input.* it has 2: `a`, `b`"):
        read_onnx(model)


def test_memory_of_values_is_let_go(generator):
    # A chain of 50 values; were they held, all would be alive at the end.
    import gc
    import weakref

    nodes = [helper.make_node("Sin", [f"v{i}"], [f"v{i + 1}"]) for i in range(50)]
    read = read_onnx(model_of(nodes, [value("v0", ["n"])], [value("v50", ["n"])]))
    alive = []
    with torch.no_grad():
        for _, made in read.trace({"v0": torch.ones(10)}):
            alive.append(weakref.ref(made[0]))
            del made
    gc.collect()
    assert sum(ref() is not None for ref in alive) <= 1


def test_output_may_be_the_input_or_a_constant():
    same = model_of(
        [helper.make_node("Identity", ["x"], ["y"])], [value("x", ["n"])], [value("x", ["n"])]
    )
    assert read_onnx(same)(torch.ones(2)).tolist() == [1.0, 1.0]


def test_repr_says_what_goes_in_and_out():
    read = read_onnx(
        model_of(
            [helper.make_node("Relu", ["x"], ["y"])], [value("x", ["n", 3])], [value("y", None)]
        )
    )
    assert "x ('n', 3) -> y, 1 nodes" in repr(read)
