"""Modules, texts and shipped int8 files are bounded as ONNX files are."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from torch import nn

from netwright._rng import seeded
from netwright.artefact import Session
from netwright.artefact._export import export_network
from netwright.audits.verify import (
    NetworkError,
    certify_ball,
    certify_box,
    intervals,
    linear_bounds,
    read_bounded,
    read_text,
    tighten,
)
from netwright.data import Schema
from netwright.design import Design, build_network

from ...design.samples import FAMILIES, INPUTS, TARGETS, rows_for

LINF = 0.03


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(y)


@pytest.fixture(scope="module")
def classifier(digits):
    x, y = digits
    with seeded(0):
        network = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(128, 24), nn.ReLU(), nn.Linear(24, 10),
        )  # fmt: skip
        optimiser = torch.optim.Adam(network.parameters(), lr=5e-3, weight_decay=1e-3)
        for _ in range(150):
            rows = torch.randint(0, 1400, (128,))
            noise = LINF * torch.randn(128, 1, 8, 8).sign()
            loss = nn.functional.cross_entropy(network(x[rows] + noise), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


@pytest.fixture(scope="module")
def int8_file(classifier, digits, tmp_path_factory):
    """What onnxruntime makes of the classifier: int8 weights, uint8 activations."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Rows(CalibrationDataReader):
        left = iter([{"features": digits[0][:300].numpy()}])

        def get_next(self):
            return next(self.left, None)

    folder = tmp_path_factory.mktemp("int8")
    onnx.save(export_network(classifier, digits[0][:2], output="logits"), folder / "float.onnx")
    quantize_static(folder / "float.onnx", folder / "int8.onnx", Rows(),
                    quant_format=QuantFormat.QDQ)  # fmt: skip
    return folder / "int8.onnx"


@pytest.mark.oracle
def test_an_int8_file_is_bounded_as_onnx_runtime_executes_it(int8_file, digits):
    kinds = {t.data_type for t in onnx.load(int8_file).graph.initializer}
    assert TensorProto.INT8 in kinds
    x, session, program = digits[0][1500:1502], Session(int8_file), read_bounded(int8_file)
    low, high = x.double() - LINF, x.double() + LINF
    unit = torch.eye(10, dtype=torch.float64)[:, None].expand(10, 2, 10)
    with torch.no_grad():
        box = intervals(program, low, high)
        first = box.least["logits"].clone(), box.most["logits"].clone()
        tighten(box)
        below, above = linear_bounds(box, "logits", unit).T, -linear_bounds(box, "logits", -unit).T
    draw = torch.Generator().manual_seed(0)
    outside = 0
    for k in range(300):
        shares = torch.rand(x.shape, generator=draw, dtype=torch.float64)
        point = low + (shares.round() if k % 2 else shares) * (high - low)
        y = session.predict(point.float()).double()
        for a, b in (first, (below, above)):
            outside += int((y < a).sum() + (y > b).sum())
    assert outside == 0
    assert (above - below).mean() < (first[1] - first[0]).mean()


def test_rows_of_an_int8_file_are_certified(int8_file, digits):
    x, y = digits[0][1500:1516], digits[1][1500:1516]
    session, program = Session(int8_file), read_bounded(int8_file)
    right = session.predict(x).argmax(1) == y
    found = certify_ball(program, x, y, linf=LINF)
    assert found.holds.sum() >= 4
    assert not (found.holds & ~right).any()


def test_a_module_is_bounded_as_its_file_is(classifier, digits, tmp_path):
    x, y = digits[0][1500:1506], digits[1][1500:1506]
    onnx.save(export_network(classifier, x, output="logits"), tmp_path / "n.onnx")
    of_module = certify_ball(read_bounded(classifier, sample=x[:1]), x, y, linf=LINF)
    of_file = certify_ball(read_bounded(tmp_path / "n.onnx"), x, y, linf=LINF)
    assert torch.equal(of_module.margin, of_file.margin)
    with pytest.raises(TypeError, match="`sample` must be given"):
        read_bounded(classifier)


LAYERS = {
    "attention": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0),
    "group norm": lambda: nn.GroupNorm(2, 2),
    "max pool": lambda: nn.AdaptiveMaxPool1d(1),
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softplus, sharp": lambda: nn.Softplus(beta=3.0, threshold=30.0),
    "softsign": nn.Softsign,
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_torch_are_bounded_as_torch_exports_them(name):
    with seeded(0):
        network = nn.Sequential(
            nn.Linear(6, 8), nn.Unflatten(1, (2, 4)), LAYERS[name](), nn.Flatten(), nn.LazyLinear(3)
        )
        network(torch.zeros(1, 6))
        x, z = torch.rand(1, 6), torch.rand(2000, 6)
    program = read_bounded(network.eval(), sample=x)
    z[:1000] = z[:1000].round()
    unit = torch.eye(3, dtype=torch.float64)[:, None]
    for radius in (0.001, 0.3):
        with torch.no_grad():
            box = intervals(program, x.double() - radius, x.double() + radius)
            tighten(box)
            y = network(x + radius * (2 * z - 1)).double()
            low, high = (s * linear_bounds(box, "outputs", s * unit).T for s in (1, -1))
        # float32 points may lie 1e-7 outside of the box
        assert (y >= low - 1e-5).all() and (y <= high + 1e-5).all()
        assert radius > 0.1 or (high - low).max() < 0.02


def test_boxes_are_certified_as_balls_are(classifier, digits):
    x, y = digits[0][1500:1506], digits[1][1500:1506]
    program = read_bounded(classifier, sample=x[:1])
    low, high = (x.double() - LINF).clamp(0, 1), (x.double() + LINF).clamp(0, 1)
    boxes, balls = certify_box(program, low, high, y), certify_ball(program, x, y, linf=LINF)
    torch.testing.assert_close(boxes.margin, balls.margin)


# Text: bounds begin behind the embedding.


def text_network(name):
    schema = Schema(INPUTS["text"], TARGETS["class"])
    network = build_network(Design(name, name, FAMILIES[name]), schema, seed=0).eval()
    return network, rows_for(schema, 2, torch.Generator().manual_seed(0))[:1]


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["text_cnn", "text_linear", "text_transformer"])
def test_texts_are_bounded_behind_their_embedding(name):
    network, tokens = text_network(name)
    text = read_text(network, tokens)
    low, high = text.x - 0.002, text.x + 0.002
    with torch.no_grad():
        box = intervals(text.program, low, high)
        tighten(box)
        draw = torch.rand(500, *text.x.shape[1:], generator=torch.Generator().manual_seed(0))
        y = text.program.run(low + draw.round() * (high - low))
    target = text.program.target
    assert (y >= box.least[target]).all() and (y <= box.most[target]).all()
    # At the text itself the steps compute what the network does.
    torch.testing.assert_close(text.program.run(text.x).float(), network(tokens).detach())


@pytest.mark.oracle
def test_words_may_be_replaced_within_the_hull():
    """Of a bag of words every combination of substitutes is tried."""
    network, tokens = text_network("text_cnn")
    text = read_text(network, tokens)
    choices = [{3, 5} if place in (1, 2) else set() for place in range(tokens.shape[1])]
    low, high = text.hull(choices)
    with torch.no_grad():
        label = network(tokens).argmax(1)
        found = certify_box(text.program, low, high, label)
        margins = []
        for first in (int(tokens[0, 1]), 3, 5):
            for second in (int(tokens[0, 2]), 3, 5):
                other = tokens.clone()
                other[0, 1], other[0, 2] = first, second
                y = network(other)[0]
                rest = y.clone()
                rest[label] = -torch.inf
                margins.append(float(y[label] - rest.max()))
    assert found.margin[0] <= min(margins)
    with pytest.raises(ValueError, match="`choices` must have a set for each"):
        text.hull(choices[1:])


def test_a_recurrent_text_network_is_named():
    network, tokens = text_network("text_gru")
    with pytest.raises(NetworkError, match="GRU"):
        read_text(network, tokens)


def test_a_text_network_needs_one_embedding(tmp_path):
    nodes = [helper.make_node("Gather", ["a", "x"], ["p"]),
             helper.make_node("Gather", ["b", "x"], ["q"]),
             helper.make_node("Add", ["p", "q"], ["y"])]  # fmt: skip
    held = [numpy_helper.from_array(np.ones((4, 2), np.float32), n) for n in "ab"]
    fed = helper.make_tensor_value_info("x", TensorProto.INT64, ["n", 3])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 2])
    graph = helper.make_graph(nodes, "g", [fed], [made], held)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "n.onnx")
    with pytest.raises(NetworkError, match="one embedding; it has 2"):
        read_text(tmp_path / "n.onnx", torch.tensor([[0, 1, 2]]))


LEFT_TO_CLAIMS = {f"sequence_{name}" for name in ("inception", "kernels", "mlp", "spectrogram")}
# Of these each operation is bounded alone (tests/design/spaces/test_operations.py).
LEFT_TO_CLAIMS |= {"cells", "macro_cnn", "macro_mlp", "macro_sequence", "reduced"}
LEFT_TO_CLAIMS |= {"sequence_cells", "table_cells", "text_cells"}


@pytest.mark.slow  # nearly all torch's exporter
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.claim] * (name in LEFT_TO_CLAIMS))
        for name in sorted(set(FAMILIES) - {"text_gru", "sequence_gru"})
    ],
)
def test_every_family_is_bounded(name):
    kind = name.partition("_")[0]
    where = {"text": "text", "tabm": "table mixed", "table": "table mixed"}.get(kind)
    where = "table mixed" if name == "macro_mlp" else where or "image 1x8x8"
    where = "sequence 1x300 of sound" if "sequence" in name else where
    schema = Schema(INPUTS[where], TARGETS["class"])
    network = build_network(Design(name, name, FAMILIES[name]), schema, seed=0).eval()
    x = rows_for(schema, 2, torch.Generator().manual_seed(0))[:1].nan_to_num()
    program = read_text(network, x).program if where == "text" else read_bounded(network, sample=x)
    x = read_text(network, x).x if where == "text" else x.double()
    with torch.no_grad():
        box, y = intervals(program, x, x), program.run(x)
    assert (box.least[program.target] <= y).all() and (y <= box.most[program.target]).all()
