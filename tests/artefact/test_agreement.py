"""A shipped file that differs from its network is found, and the first differing node named."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from netwright.artefact import ArtefactError, check_agreement, to_onnx
from tests.artefact.shipped_networks import (
    DIGITS,
    PEOPLE,
    REVIEWS,
    bag_of_words,
    small_cnn,
    table_mlp,
)


@pytest.fixture
def pixels(generator):
    return torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=generator) / 255


@pytest.fixture
def shipped(tmp_path):
    def write(network, schema, sample, change=None, **settings):
        model = onnx.load_from_string(to_onnx(network, schema, sample=sample, **settings))
        if change is not None:
            change(model.graph)
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return write


def test_faithful_files_agree(shipped, pixels):
    network = small_cnn().train()
    found = check_agreement(network, shipped(network, DIGITS, pixels), pixels)
    assert found.max_abs_difference < 1e-6 and found.n == 6 and found.raw
    assert network.training
    hot = shipped(network, DIGITS, pixels, temperature=3.0)
    assert check_agreement(network, hot, pixels).max_abs_difference < 1e-6


def test_tables_and_texts_agree(shipped):
    x = torch.tensor([[40.5, 2, 1, 100], [float("nan"), 0, float("nan"), 0]])
    assert check_agreement(table_mlp(), shipped(table_mlp(), PEOPLE, x), x).raw
    words = torch.tensor([[2, 3, 1, 6, 0, 0], [0] * 6, [5] * 6])
    assert check_agreement(bag_of_words(), shipped(bag_of_words(), REVIEWS, words), words).raw


def scale_weight(name, factor):
    def change(graph):
        tensor = next(t for t in graph.initializer if t.name == name)
        changed = numpy_helper.to_array(tensor) * np.float32(factor)
        tensor.CopyFrom(numpy_helper.from_array(changed, name))

    return change


def replace_operator(old, new):
    def change(graph):
        next(n for n in graph.node if n.op_type == old).op_type = new

    return change


def swap_words(graph):
    node = next(n for n in graph.node if n.op_type == "LabelEncoder")
    words = next(a for a in node.attribute if a.name == "keys_strings").strings
    words[1], words[2] = words[2], words[1]


@pytest.mark.parametrize(
    ("change", "node"),
    [
        (scale_weight("0.weight", 1.5), "Conv `getitem`"),
        (scale_weight("5.bias", 2.0), "Gemm `logits`"),
        (replace_operator("Relu", "Tanh"), "Tanh `relu`"),
        (scale_weight("raw/255", 1.001), "Div `features`"),
    ],
)
def test_planted_faults_are_named(shipped, pixels, change, node):
    network = small_cnn()
    path = shipped(network, DIGITS, pixels, change)
    with pytest.raises(ArtefactError, match=f"first node that differs .* is {node}"):
        check_agreement(network, path, pixels)


def test_fault_in_the_vocabulary_is_named(shipped):
    x = torch.tensor([[2, 3, 1, 6, 0, 0], [1, 4, 0, 0, 0, 0]])
    path = shipped(bag_of_words(), REVIEWS, x, swap_words)
    with pytest.raises(ArtefactError, match="of 1 of 2 raw rows.*LabelEncoder `raw/numbers`"):
        check_agreement(bag_of_words(), path, x, schema=REVIEWS)


def test_fault_in_a_table_network_is_named(shipped):
    x = torch.tensor([[40.5, 2, 1, 100], [float("nan"), 0, float("nan"), 0]])
    path = shipped(table_mlp(), PEOPLE, x, replace_operator("Tanh", "Sigmoid"))
    with pytest.raises(ArtefactError, match="differs from a fresh export .* is Sigmoid `tanh`"):
        check_agreement(table_mlp(), path, x)


def test_another_network_of_the_same_design_disagrees(shipped, pixels):
    network, other = small_cnn(), small_cnn()
    with torch.no_grad():
        other[5].weight.add_(0.01)
    with pytest.raises(ArtefactError, match="differs from a fresh export of `network` is Gemm"):
        check_agreement(other, shipped(network, DIGITS, pixels), pixels)


def test_fault_of_a_runtime_is_told_from_a_fault_of_the_file(shipped, pixels, monkeypatch):
    # No runtime fault is at hand, so torch's side is made to err in one operator.
    from netwright.artefact import _agreement
    from netwright.artefact._operators import OPERATORS
    from netwright.artefact._read_onnx import read_onnx

    network = small_cnn()
    wrong = {**OPERATORS, "Relu": lambda node, x: torch.tanh(x)}
    monkeypatch.setattr("netwright.artefact._read_onnx.OPERATORS", wrong)
    path = shipped(network, DIGITS, pixels)
    session = _agreement.Session(path)
    said = _agreement._locate(network, session, DIGITS, pixels, 1e-4)
    assert said == "The first node that ONNX Runtime computes unlike torch is Relu `relu`."
    monkeypatch.undo()
    assert read_onnx(path)(pixels).shape == (6, 10)
    assert _agreement._locate(network, session, DIGITS, pixels, 1e-4).startswith(
        "Every node agrees"
    )


def test_nan_is_a_disagreement(shipped, pixels):
    network = small_cnn()
    path = shipped(network, DIGITS, pixels, scale_weight("5.bias", float("nan")))
    with pytest.raises(ArtefactError, match="differs by inf"):
        check_agreement(network, path, pixels)


def test_rows_are_needed(shipped, pixels):
    with pytest.raises(ValueError, match="at least one row"):
        check_agreement(small_cnn(), shipped(small_cnn(), DIGITS, pixels), pixels[:0])
