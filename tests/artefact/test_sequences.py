"""Sequences of any length through the shipped file."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netwright.artefact import ArtefactError, Session, check_agreement, read_onnx, write
from netwright.artefact._feed import prepare_rows, raw_feed
from netwright.artefact._metadata import describe
from netwright.data import encode_sequences, load
from tests.artefact.shipped_networks import sequence_network, sequence_schema
from tests.artefact.test_raw import run_preprocessing
from tests.data.wav_files import wav

SCHEMA = sequence_schema(2, 5)
NAN = float("nan")
UNEQUAL = [
    np.array([[1.0, 2, 3], [4, NAN, 6]]),
    np.arange(18.0).reshape(2, 9),
    [[7], [8]],
    torch.tensor([[1.0, NAN, NAN], [NAN, 3.0, NAN]]),
]


def same(one, two):
    return one.shape == two.shape and bool(((one == two) | (one.isnan() & two.isnan())).all())


@given(st.data())
def test_any_sequence_comes_back_through_the_graph(data):
    channels, length = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 6))
    schema = sequence_schema(channels, length)
    cell = st.one_of(st.just(NAN), st.floats(width=32, allow_nan=False))
    row = st.lists(cell, min_size=channels * length, max_size=channels * length)
    x = torch.tensor(data.draw(st.lists(row, min_size=1, max_size=4)))
    x = x.reshape(-1, channels, length)
    feed = raw_feed(x, schema)
    assert feed["sequence"].shape[2] <= length
    assert same(run_preprocessing(schema, prepare_rows(feed, schema))[0], x)


def test_the_graph_pads_and_cuts_as_the_data_do():
    feed = prepare_rows({"sequence": UNEQUAL}, SCHEMA)
    assert feed["sequence"].shape == (4, 2, 5) and feed["sequence"].dtype == np.float32
    made, _ = run_preprocessing(SCHEMA, feed)
    assert same(made, encode_sequences(UNEQUAL, SCHEMA.input))
    assert made[1].tolist() == [[0, 1, 2, 3, 4], [9, 10, 11, 12, 13]]
    assert made[2].isnan().sum() == 8
    long = np.arange(18, dtype=np.float32).reshape(1, 2, 9)  # as any other program feeds it
    assert prepare_rows({"sequence": long}, SCHEMA)["sequence"] is long
    assert same(run_preprocessing(SCHEMA, {"sequence": long})[0], made[1:2])
    assert same(
        run_preprocessing(SCHEMA, {"sequence": long[:, :, :3]})[0][0, :, :3], made[1, :, :3]
    )


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([np.zeros((2, 3)), np.zeros((3, 3))], "row 1: 3 channels; the schema has 2"),
        ([np.full((2, 3), NAN)], "row 0: the sequence has no value"),
        ([np.full((2, 3), np.inf)], "row 0: .* not finite"),
        ([["a", "b"]], "row 0: the sequence holds <U1"),
        (np.zeros((3, 4)), "row 0: 1 channels; the schema has 2"),
        (np.zeros((3, 1, 4)), "row 0: 1 channels; the schema has 2"),
    ],
)
def test_what_is_no_sequence_is_refused(rows, why):
    with pytest.raises(ValueError, match=f"`sequence` must hold 2 channels .* {why}"):
        prepare_rows({"sequence": rows}, SCHEMA)


@pytest.mark.parametrize("kind", [np.asarray, list])
def test_values_beyond_float32_are_refused(kind):
    rows = np.zeros((3, 2, 4))
    rows[1, 0, 2] = 1e300
    with pytest.raises(ValueError, match=r"must hold 2 channels .* row 1: .* value .* not finite"):
        prepare_rows({"sequence": kind(rows)}, SCHEMA)


def test_missing_sequences_are_asked_for():
    with pytest.raises(ValueError, match="`rows` must have `sequence`"):
        prepare_rows({"x": []}, SCHEMA)


def test_one_channel_needs_no_axis_of_its_own():
    schema = sequence_schema(1, 3)
    feed = prepare_rows({"sequence": [[1, 2], [3, 4, 5, 6]]}, schema)
    np.testing.assert_array_equal(feed["sequence"][:, 0], np.float32([[1, 2, NAN], [3, 4, 5]]))


def test_recordings_are_rows():
    schema = replace(SCHEMA, input=replace(SCHEMA.input, rate=8000.0))
    sound = wav([[1, 2], [3, 4]])
    feed = prepare_rows({"sequence": [sound, np.zeros((2, 3))]}, schema)["sequence"]
    assert (feed[0, :, :2] * 32768).tolist() == [[1, 3], [2, 4]] and np.isnan(feed[0, :, 2:]).all()
    with pytest.raises(ValueError, match="row 0: 100 samples a second; the schema has 8,000"):
        prepare_rows({"sequence": [wav([[1, 2]], rate=100)]}, schema)


def test_a_shipped_file_runs_on_sequences_of_any_length(tmp_path, generator):
    network = sequence_network(2)
    x = torch.randn(6, 2, 5, generator=generator)
    x[0, :, 3:] = NAN
    x[1, 0, 1] = NAN
    found = write(network, SCHEMA, design="{}", folder=tmp_path, sample=x)
    assert check_agreement(network, found.onnx, x, schema=SCHEMA).raw
    session = Session(found.onnx)
    assert session.schema == SCHEMA and session.inputs == ("sequence",)
    whole = session.probabilities({"sequence": UNEQUAL})
    logits = network.eval()(encode_sequences(UNEQUAL, SCHEMA.input)).detach()
    torch.testing.assert_close(whole, logits.softmax(1))
    torch.testing.assert_close(read_onnx(found.onnx)(x), network(x).detach())
    about = {p.key: p.value for p in onnx.load(found.onnx).metadata_props}
    assert "(batch, channels, steps), channels x0, x1;" in about["input"]
    sound = replace(SCHEMA, input=replace(SCHEMA.input, rate=8000.0))
    assert "steps) at 8000 steps a second, channels" in describe(sound, version="1")["input"]


def test_a_file_that_cuts_elsewhere_is_found_out(tmp_path, generator):
    network = sequence_network(2)
    x = torch.randn(6, 2, 5, generator=generator)
    path = write(network, SCHEMA, design="{}", folder=tmp_path, sample=x).onnx
    model = onnx.load(path)
    pads = next(t for t in model.graph.initializer if t.name == "raw/nan")
    pads.CopyFrom(onnx.numpy_helper.from_array(np.float32(0), "raw/nan"))
    onnx.save(model, path)
    assert check_agreement(network, path, x).n == 6  # no row of these is padded
    x[:, :, 4] = NAN
    with pytest.raises(ArtefactError, match="makes other features of 6 of 6 raw rows.*Pad"):
        check_agreement(network, path, x)


def test_real_recordings_of_unequal_length(shared_data, tmp_path):
    task = load("japanesevowels")
    x = task.test.open("test").take(slice(0, 64))
    network = sequence_network(12)
    schema = task.schema
    with np.load(shared_data / "timeseries" / "ucr_japanesevowels.npz") as file:
        rows, lengths = file["x_test"][:64], file["length_test"][:64]
    made, _ = run_preprocessing(
        schema,
        prepare_rows({"sequence": [r[:, :n] for r, n in zip(rows, lengths, strict=True)]}, schema),
    )
    assert same(made, x)
    assert network(x).shape == (64, 2)
