import copy

import numpy as np
import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.artefact import read_onnx, to_onnx
from netwright.artefact._session import start_session
from netwright.compress import (
    adaround,
    learn_steps,
    round_activations,
    round_weights,
    settle,
    ternarise,
    to_qdq,
)
from netwright.compress._qdq_onnx import whole_steps
from netwright.data import load


@pytest.fixture(scope="module")
def task():
    return load("digits", seed=0)


@pytest.fixture(scope="module")
def network():
    with _rng.seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
            nn.Linear(8 * 36, 12), nn.ReLU(), nn.Linear(12, 10),
        ).eval()  # fmt: skip


def exported(network, task):
    import onnx

    return onnx.ModelProto.FromString(
        to_onnx(network, task.schema, sample=task.train.take(range(2)))
    )


def codes_of(model, rows):
    """What every QuantizeLinear makes of the rows, in the order of the graph."""
    import onnx

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [n.output[0] for n in probe.graph.node if n.op_type == "QuantizeLinear"]
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return start_session(probe, optimise=False).run(names, rows)


@pytest.fixture(scope="module")
def shipped(network, task):
    """For some bits, a network with rounded weights and activations, its ranges and its file."""
    x, made = task.train.take(range(64)), {}
    for bits in (8, 3):
        rounded = copy.deepcopy(network)
        round_weights(rounded, bits)
        found = round_activations(rounded, x, bits, data="64 rows of the train split")
        made[bits] = rounded, found, exported(rounded, task)
    return x, made


@pytest.mark.parametrize("bits", [8, 3])
def test_the_file_computes_what_the_module_computes(shipped, bits):
    x, (rounded, found, plain) = shipped[0], shipped[1][bits]
    made = to_qdq(plain)
    rows = {"image": (x * 255).round().to(torch.uint8).numpy()}
    seen, handles = [], []
    for name, layer in found.layers.items():

        def keep(module, given, out, held=layer.range):
            seen.append(np.rint(given[0].numpy() / held.step).astype(int) + int(held.zero))

        handles.append(rounded.get_submodule(name).register_forward_hook(keep))
    with torch.no_grad():
        wanted = rounded(x).numpy()
    for handle in handles:
        handle.remove()
    codes = codes_of(made, rows)
    assert len(codes) == len(seen) == 3
    for ours, torchs in zip(codes, seen, strict=True):
        apart = np.abs(ours.astype(int) - torchs.reshape(ours.shape))
        # Sums in another order and biases of 32 bits: a number between two codes may go either way.
        assert apart.max() <= 1 and (apart > 0).mean() < 0.01
    step = found.layers["6"].range.step * rounded[6].weight.abs().sum(1).max().item()
    for optimise in (True, False):
        logits = start_session(made, optimise=optimise).run(["logits"], rows)[0]
        assert np.abs(logits - wanted).max() <= step  # no code of the last layer off by more than 1
        assert np.abs(logits - wanted).mean() < 0.05 * step
    assert made.ByteSize() < 0.5 * plain.ByteSize()  # weights in bytes


def test_eight_bits_run_in_whole_numbers(shipped, tmp_path):
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "rewritten.onnx")
    made = to_qdq(shipped[1][8][2]).SerializeToString()
    onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    found = [n.op_type for n in onnx.load(tmp_path / "rewritten.onnx").graph.node]
    assert found.count("QLinearConv") == 1 and found.count("QGemm") == 2
    assert not {"Conv", "Gemm", "FusedConv"} & set(found)


def test_what_has_no_codes_stays_as_it_is(network, task):
    rounded, x = copy.deepcopy(network), task.train.take(range(64))
    ternarise(rounded, ["4.weight"])
    settle(rounded)
    round_activations(rounded, x, {"0": 12, "4": 8, "6": 8})
    made = to_qdq(exported(rounded, task))
    kinds = [n.op_type for n in made.graph.node]
    assert kinds.count("QuantizeLinear") == 2 and kinds.count("Round") == 1  # twelve bits
    codes = [t for t in made.graph.initializer if t.name.endswith("weight/codes")]
    assert [tuple(t.dims) for t in codes] == [(12, 8 * 36)]  # three values; others are any
    rows = {"image": (x * 255).round().to(torch.uint8).numpy()}
    with torch.no_grad():
        wanted = rounded(x).numpy()
    # Biases of 32 bits, and sums in another order.
    for answers in (start_session(made).run(["logits"], rows)[0], read_onnx(made)(x).detach()):
        assert np.abs(np.asarray(answers) - wanted).max() < 0.02 * np.abs(wanted).max()


def test_a_model_that_rounds_nothing_is_refused():
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "none", ends[:1], ends[1:])
    with pytest.raises(ValueError, match="rounds nothing to eight bits or fewer"):
        to_qdq(helper.make_model(graph))


@pytest.mark.oracle
@pytest.mark.parametrize("how", ["adaround", "ternary", "learned"])
def test_weights_of_all_methods_have_steps(network, task, how):
    rounded = copy.deepcopy(network)
    if how == "adaround":
        adaround(rounded, task.train.take(range(64)), {"4.weight": 3}, steps=5)
    if how == "ternary":
        ternarise(rounded)
    if how == "learned":
        learn_steps(rounded, 4)
    settle(rounded)
    weight = rounded[4].weight.detach().numpy()
    steps = whole_steps(weight)
    codes = weight / steps[:, None]
    assert np.abs(codes - np.rint(codes)).max() < 1e-3 and np.abs(codes).max() < 9


@pytest.mark.oracle
def test_steps_are_found_again(generator):
    codes = torch.randint(-90, 91, (5, 40), generator=generator).float()
    steps = torch.rand(5, 1, generator=generator) + 0.1
    found = whole_steps((codes * steps).numpy())
    assert np.allclose(found, steps[:, 0], rtol=1e-4)
    assert whole_steps(torch.randn(3, 40, generator=generator).numpy()) is None
    assert whole_steps(np.array([[128.0, 1.0]])) is None  # beyond what a byte holds
