import numpy as np
import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.artefact import read_onnx, to_onnx
from netwright.artefact._session import start_session
from netwright.compress import is_quantisable, to_int8
from netwright.data import Input, Schema, Target

INPUT = Input("image", (1, 12, 12), mean=(0.5,), std=(0.3,))
SCHEMA = Schema(INPUT, Target("class", ("label",), classes=("a", "b", "c")))


class Residual(nn.Module):
    """A convolution beside its input."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return (self.inner(x) + x).relu()


@pytest.fixture(scope="module")
def network():
    with _rng.seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            Residual(nn.Conv2d(8, 8, 3, padding=1)),
            nn.Flatten(),
            nn.Linear(8 * 36, 20),
            nn.ReLU(),
            nn.Linear(20, 3),
        ).eval()


@pytest.fixture(scope="module")
def x():
    return torch.rand(64, 1, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def made(network, x):
    import onnx

    model = onnx.ModelProto.FromString(to_onnx(network, SCHEMA, sample=x[:2]))
    rows = (x * 255).round().to(torch.uint8).numpy()
    return model, to_int8(model, [{"image": rows}]), rows


def test_answers_change_little(made):
    model, int8, rows = made
    before, after = (start_session(m).run(["logits"], {"image": rows})[0] for m in (model, int8))
    # Eight layers' roundings of 1/255 of a range each; half a per cent was seen.
    assert 0 < np.abs(before - after).max() < 0.03 * np.abs(before).max()


def test_every_layer_runs_in_whole_numbers(made, tmp_path):
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "rewritten.onnx")
    onnxruntime.InferenceSession(
        made[1].SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = [n.op_type for n in onnx.load(tmp_path / "rewritten.onnx").graph.node]
    assert found.count("QLinearConv") == 2
    assert found.count("QGemm") == 2
    assert found.count("QLinearAdd") == 1
    assert not {"Conv", "Gemm", "FusedConv"} & set(found)


def test_weights_take_a_byte(made):
    model, int8, _ = made
    arrays = {t.name: t for t in int8.graph.initializer}
    codes = [t for name, t in arrays.items() if name.endswith("weight/codes")]
    assert sum(len(t.raw_data) for t in codes) == sum(
        int(np.prod(t.dims)) for t in model.graph.initializer if t.name.endswith("weight")
    )
    assert not any(name.endswith(".weight") for name in arrays)


def test_the_model_that_was_given_is_left_as_it_was(made, network, x):
    assert made[0].SerializeToString() == to_onnx(network, SCHEMA, sample=x[:2])


@pytest.mark.oracle
def test_torch_computes_what_the_integer_kernels_compute(made):
    _, int8, rows = made
    theirs = start_session(int8).run(["logits"], {"image": rows})[0]
    ours = read_onnx(int8)(torch.from_numpy(rows).float() / 255)
    # Roundings to even may fall the other way where a sum differs in its last bit.
    step = 0.005 * np.abs(theirs).max()
    assert np.abs(ours.detach().numpy() - theirs).max() < 3 * step


@pytest.mark.oracle
def test_the_answers_are_as_close_as_those_of_onnxruntimes_own_quantiser(made, tmp_path):
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    model, int8, rows = made

    class Rows(CalibrationDataReader):
        def __init__(self):
            self.left = iter([{"image": rows}])

        def get_next(self):
            return next(self.left, None)

    onnx.save(model, tmp_path / "float.onnx")
    quantize_static(tmp_path / "float.onnx", tmp_path / "theirs.onnx", Rows(), per_channel=True)
    right = start_session(model).run(["logits"], {"image": rows})[0]
    theirs = start_session(onnx.load(tmp_path / "theirs.onnx")).run(["logits"], {"image": rows})[0]
    ours = start_session(int8).run(["logits"], {"image": rows})[0]
    assert np.square(ours - right).mean() < 2 * np.square(theirs - right).mean()


def test_what_has_nothing_to_quantise_is_refused(made):
    import onnx

    with pytest.raises(ValueError, match="`feeds` must hold calibration rows"):
        to_int8(made[0], [])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1])],
        [onnx.helper.make_tensor_value_info("y", 1, [1])],
    )
    with pytest.raises(ValueError, match="no convolution and no linear layer"):
        to_int8(onnx.helper.make_model(graph), [{"x": np.ones(1, np.float32)}])
    assert not is_quantisable(onnx.helper.make_model(graph))
    assert is_quantisable(made[0]) and not is_quantisable(made[1])
