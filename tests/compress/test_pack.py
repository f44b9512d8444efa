import zlib

import numpy as np
import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.artefact import to_onnx
from netwright.compress import (
    NwzError,
    decode,
    encode,
    pack,
    prune_global,
    read_about,
    settle,
    unpack,
)
from netwright.data import Input, Schema, Target

TEXTS = Schema(
    Input("text", (5,), vocabulary=("good", "bad", "film")),
    Target("class", ("y",), classes=("no", "yes")),
)


@pytest.fixture(scope="module")
def model():
    import onnx

    with _rng.seeded(0):
        network = nn.Sequential(nn.Embedding(5, 64), nn.Flatten(), nn.Linear(320, 2))
    prune_global(network, keep=0.1)
    settle(network)
    sample = torch.zeros(2, 5, dtype=torch.int64)
    return onnx.ModelProto.FromString(to_onnx(network, TEXTS, sample=sample))


def test_a_model_comes_back_with_its_words_and_bits(model):
    from onnx import numpy_helper

    back = unpack(pack(model))
    assert [n.op_type for n in back.graph.node] == [n.op_type for n in model.graph.node]
    assert back.metadata_props == model.metadata_props
    pairs = zip(back.graph.initializer, model.graph.initializer, strict=True)
    for ours, theirs in pairs:
        ours, theirs = numpy_helper.to_array(ours), numpy_helper.to_array(theirs)
        assert ours.dtype == theirs.dtype and ours.tolist() == theirs.tolist()


def test_it_answers_the_same(model):
    from netwright.artefact._session import start_session

    texts = {"text": np.array(["good film", "bad bad film", "unheard of"], dtype=object)}
    before, after = (
        start_session(m).run(["logits"], texts)[0] for m in (model, unpack(pack(model)))
    )
    assert np.array_equal(before, after)


def test_the_model_is_left_as_it_was_and_the_file_is_short(model):
    before = model.SerializeToString()
    file = pack(model)
    assert model.SerializeToString() == before
    assert len(file) < 0.6 * len(before)


def graph_of(file):
    return zlib.decompress(read_about(file))


@pytest.mark.parametrize("about", [b"", b"not deflated", zlib.compress(b"\xff\xff no graph"), None])
def test_a_file_without_a_graph_is_refused(model, about):
    if about is None:  # cut in the middle
        about = read_about(pack(model))[:-20]
    with pytest.raises(NwzError, match="ONNX graph"):
        unpack(encode(decode(pack(model)), about=about))


def test_a_graph_that_inflates_without_end_is_refused(model, monkeypatch):
    monkeypatch.setattr("netwright.compress._pack._MOST_GRAPH", 100)
    with pytest.raises(NwzError, match="too large"):
        unpack(pack(model))


def test_tensors_that_do_not_fit_the_graph_are_refused(model):
    tensors, about = decode(pack(model)), read_about(pack(model))
    name = next(n for n, a in tensors.items() if a.ndim == 2)
    with pytest.raises(NwzError, match=f"lacks `{name}`"):
        unpack(encode({n: a for n, a in tensors.items() if n != name}, about=about))
    with pytest.raises(NwzError, match="another type or shape"):
        unpack(encode(tensors | {name: tensors[name].T}, about=about))
    with pytest.raises(NwzError, match="another type or shape"):
        unpack(encode(tensors | {name: tensors[name].astype("f8")}, about=about))
