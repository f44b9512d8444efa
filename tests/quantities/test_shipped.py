"""Quantities of the shipped file, and the raw rows that it is fed."""

import dataclasses

import numpy as np
import pytest
import torch

from netwright.quantities import CATALOGUE
from netwright.quantities._shipped import raw_feeds, start


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["digits", "buyers", "reviews"])
def test_raw_rows_give_what_the_network_gives(name, request, ship):
    # Raw rows are the inverse of preprocessing: pixels, cells with gaps, and text.
    subject = ship(request.getfixturevalue(name))
    session = start(subject, "latency_p95", 1)
    feeds = raw_feeds(session, subject, batch=5, most=4)
    assert len(feeds) == 4
    found = np.concatenate([session.run(["logits"], feed)[0] for feed in feeds])
    with torch.no_grad():
        truth = subject.network(subject.split.take(range(20)))
    np.testing.assert_allclose(found, truth, atol=1e-4)  # two float32 runtimes
    if name == "buyers":
        cells = [c for feed in feeds for v in feed.values() if v.dtype == object for c in v]
        assert "" in cells  # a missing category went through


def test_rows_are_cycled_when_a_batch_needs_more(shipped_digits):
    few = dataclasses.replace(shipped_digits).where(torch.arange(3))
    few = dataclasses.replace(few, artefact=shipped_digits.artefact)
    (feed,) = raw_feeds(start(few, "latency_p50", 1), few, batch=7, most=64)
    (pixels,) = feed.values()
    assert pixels.shape[0] == 7
    np.testing.assert_array_equal(pixels[0], pixels[3])
    np.testing.assert_array_equal(pixels[0], pixels[6])


def test_size_is_the_files(shipped_digits):
    found = CATALOGUE["size"].measure(shipped_digits)
    assert found.value == found.low == found.high == len(shipped_digits.artefact.read_bytes())
    assert found.unit == "bytes"


def test_latency_grows_with_the_batch(shipped_digits):
    # Pairs in one process: a batch of 2000 is some 100 times the work of one row.
    measure = CATALOGUE["latency_p50"].measure
    one, many = measure(shipped_digits), measure(shipped_digits, batch=2000)
    assert one.high < many.low
    p95 = CATALOGUE["latency_p95"].measure(shipped_digits)
    assert p95.n >= 200
    assert (p95.unit, p95.method) == ("s", "order statistics")


def test_memory_is_that_of_a_small_network(shipped_digits):
    found = CATALOGUE["memory"].measure(shipped_digits)
    assert 0 < found.low <= found.value < 100e6
    assert found.unit == "bytes"


def test_text_reaches_the_process_that_measures_memory(reviews, ship):
    assert CATALOGUE["memory"].measure(ship(reviews)).value > 0


@pytest.mark.parametrize("name", ["size", "latency_p50", "latency_p95", "memory"])
def test_without_a_file_there_is_nothing_to_measure(name, digits):
    with pytest.raises(ValueError, match=f"`{name}` is measured on the shipped file.*Write one"):
        CATALOGUE[name].measure(digits)


def test_a_file_of_fixed_batch_size_says_so(digits, tmp_path):
    import onnx
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 64]) for n in ("x", "logits")]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["logits"])], "g", *[[p] for p in ports]
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx")
    subject = dataclasses.replace(digits, artefact=tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="`batch` must be 4, to which the file is fixed; got 1"):
        CATALOGUE["latency_p50"].measure(subject)
