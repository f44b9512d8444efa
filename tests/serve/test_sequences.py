"""Sequences over the wire: lists, files, tensors; what does not fit is named."""

import base64
import dataclasses
import io
import struct
import wave

import numpy as np
import pandas as pd
import pytest

from netwright._audit_file import _load
from netwright.artefact._metadata import describe, restore
from netwright.data import load
from netwright.serve import read_reference
from netwright.serve._drift import summarise
from netwright.serve._reference import _shown, training_rows
from netwright.serve._sequence_rows import read_sequence, read_sequence_file, together
from tests.serve.conftest import waves
from tests.serve.http import multipart

ROWS, NAMES = waves(2, n=6, seed=5)


@pytest.fixture(scope="module")
def two(shared, waves_model):
    return shared(waves_model, reference=read_reference(waves_model, waves(2)))


@pytest.fixture(scope="module")
def one(shared, tones_model):
    return shared(tones_model)


def wav(samples, *, rate=100, width=2, channels=1):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", ""))
        kind = {1: "u1", 2: "<i2", 4: "<i4"}[width]
        scale, middle = float(1 << (8 * width - 1)), 128 if width == 1 else 0
        out.writeframes((np.asarray(samples) * (scale - 1) + middle).astype(kind).tobytes())
    return file.getvalue()


def table(values, names=None, mark=","):
    lines = [mark.join(names)] if names else []
    return "\n".join([*lines, *(mark.join(f"{v:.9g}" for v in row) for row in values.T)]).encode()


def test_rows_of_several_lengths_get_the_model_s_answers(two, waves_model):
    status, answer = two.post("/predict", {"sequences": [row.tolist() for row in ROWS]})
    assert status == 200
    said = [each["probabilities"] for each in answer["predictions"]]
    alone = [waves_model.answer({"sequence": row[None]})[0] for row in ROWS]
    np.testing.assert_allclose(said, alone, atol=1e-5)  # rounded to 7 digits
    labels = [each["label"] for each in answer["predictions"]]
    assert labels == list(NAMES)


def test_requests_of_several_lengths_share_a_batch(waves_model):
    parts = [row[None] for row in ROWS]
    joined = together(parts)
    assert joined.shape == (6, 2, max(row.shape[1] for row in ROWS))
    assert [int((~np.isnan(row[0])).sum()) for row in joined] == [r.shape[1] for r in ROWS]


def test_missing_values_are_null(one, tones_model):
    row = waves(1, n=1, seed=6)[0][0][0].tolist()
    row[3:6] = [None] * 3
    status, answer = one.post("/predict", {"sequence": row})
    truth = tones_model.answer({"sequence": np.array([[row]], np.float32)})[0]
    np.testing.assert_allclose(answer["predictions"][0]["probabilities"], truth, atol=1e-5)
    assert status == 200 and one.post("/predict", {"sequence": [row]})[1]["predictions"]


def test_longer_sequences_are_cut_and_told_so(one):
    _, answer = one.post("/predict", {"sequence": [0.5] * 500, "include": ["seen"]})
    (row,) = answer["predictions"]
    assert row["notes"] == ["The sequence has 500 steps; the network looks at the first 60."]
    assert row["seen"]["steps"] == 60 and row["seen"]["lines"][0]["values"] == [0.5] * 60


@pytest.mark.parametrize("width", [1, 2, 4])
def test_wav_files(one, tones_model, width):
    samples = waves(1, n=1, seed=7)[0][0]
    body, kind = multipart(("a.wav", wav(samples[0], width=width)))
    status, answer = one.post("/predict", body, kind=kind)
    said = answer["predictions"][0]["probabilities"]
    truth = tones_model.answer({"sequence": samples[None]})[0]
    # A sample of eight bits is off by up to 1/256.
    assert status == 200 and said == pytest.approx(truth.tolist(), abs=0.05 if width == 1 else 1e-3)
    straight = one.post("/predict", wav(samples[0], width=width), kind="audio/wav")
    address = "data:audio/wav;base64," + base64.b64encode(wav(samples[0], width=width)).decode()
    within = one.post("/predict", {"sequence": address})
    for found in (straight, within):
        assert found[1]["predictions"][0]["probabilities"] == said


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("names", [None, ["x0", "x1"], ["time", "x1", "x0"], ["a", "b"]])
def test_csv_files(two, waves_model, mark, names):
    values = ROWS[0]
    if names and "time" in names:
        values = np.vstack([np.arange(values.shape[1]), values[1], values[0]])
    status, answer = two.post("/predict", table(values, names, mark), kind="text/csv")
    truth = waves_model.answer({"sequence": ROWS[0][None]})[0]
    assert status == 200
    np.testing.assert_allclose(answer["predictions"][0]["probabilities"], truth, atol=1e-5)


def test_a_csv_of_one_channel_may_be_a_line_or_a_column(tones_model):
    inputs = tones_model.schema.input
    for data in (b"1,2,,4", b"1\n2\n\n4", b"x0\r\n1\r\n2\r\n4\r\n", b"\xef\xbb\xbf1 \n 2\n4"):
        found = read_sequence_file(data, inputs).values
        assert found[0][~np.isnan(found[0])].tolist() == [1, 2, 4]


WRONG = {
    "a number": (7, "must be lists of numbers, or a file in base64; got 7"),
    "one channel": ([1, 2], "must be 2 lists, one a channel; got one list of numbers"),
    "three": ([[1], [2], [3]], "got 3 lists; are channels and steps swapped?"),
    "mixed": ([[1], 2], "got numbers and lists beside each other"),
    "unequal": ([[1, 2], [3]], "channels of one length; got 1, 2 steps"),
    "word": ([[1, 2], [3, "x"]], "must hold numbers or null; channel x1, step 1 does not"),
    "truth": ([[True], [1]], "channel x0, step 0 does not"),
    "deep": ([[[1]], [[2]]], "channel x0, step 0 does not"),
    "far": ([[1], [-(10**400)]], "within 3.4e+38; channel x1, step 0 does not"),
    "empty": ([[], []], "has no steps"),
    "nothing": ([[None], [None]], "has no value"),
    "late": ([[None] * 60 + [1]] * 2, "has no value in its first 60 steps"),
    "no base64": ("~", "is no base64"),
    "no csv": (base64.b64encode(b"\xff\xfe\x00").decode(), "neither a WAV file nor text in UTF-8"),
}


@pytest.mark.parametrize("item, reason", WRONG.values(), ids=WRONG)
def test_fault_of_a_sequence_is_named(two, item, reason):
    status, answer = two.post("/predict", {"sequences": [ROWS[0].tolist(), item]})
    (problem,) = answer["error"]["problems"]
    assert (status, problem["field"]) == (422, "sequences[1]") and reason in problem["reason"]


BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "cut": (wav([0.1])[:20], "the WAV"),
    "rate": (wav([0.1], rate=44100), "has 44,100 samples a second; this model takes 100"),
    "stereo": (wav([0.1, 0.2], channels=2), "has 2 channels; this model takes 1"),
    "phone": (
        b"RIFF\x26\0\0\0WAVEfmt "
        + struct.pack("<IHHIIHH4sI", 16, 7, 1, 100, 100, 1, 8, b"data", 0),
        "WAV files of mu-law samples are not read",
    ),
    "word": (b"1\n2\nthree", "line 3: 'three' is no number"),
    "wide": (b"1,2\n3,4", "line 1: must hold 1 number; got 2 cells"),
    "names": (b"a,b\n3,4", "has the columns a, b; wanted are x0"),
    "far": (b"1e39\n1", "'1e39' is no number"),
    "header alone": (b"x0", "has no steps"),
}


@pytest.mark.parametrize("data, reason", BAD_FILES.values(), ids=BAD_FILES)
def test_fault_of_a_file_is_named(one, data, reason):
    status, answer = one.post("/predict", data, kind="text/csv")
    assert status == 422 and reason in str(answer["error"])


def test_damaged_files_are_refused_and_nothing_else(tones_model):
    rng = np.random.default_rng(0)
    whole = wav(waves(1, n=1)[0][0][0])
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, 60, 4):
            data[place] = rng.integers(0, 256)
        found = read_sequence_file(
            bytes(data[: rng.integers(4, len(data))]), tones_model.schema.input
        )
        assert isinstance(found, str) or found.values.shape[0] == 1


def test_rows_of_a_column_a_step_are_found_again_from_a_shipped_schema(waves_model):
    x = np.random.default_rng(0).normal(size=(60, 7)).astype(np.float32)
    names = [f"x{i}" for i in range(7)]
    frame = pd.DataFrame(x, columns=names).assign(kind=np.arange(60) % 2)
    task = load(frame, target="kind", schema=dict.fromkeys(names, "sequence"))
    shipped = restore(describe(task.schema, version="1"), {})
    split, places = training_rows(dataclasses.replace(waves_model, schema=shipped), frame)
    np.testing.assert_array_equal(split.take(places), task.train.take(range(len(task.train))))
    rows = _load(frame, shipped, 0, {}).test.open("audit")
    np.testing.assert_array_equal(rows.take(range(60))[:, 0], x[rows.rows])


def test_kserve_takes_any_number_of_steps(two, waves_model):
    _, about = two.get("/v2/models/model")
    assert about["inputs"] == [{"name": "sequence", "datatype": "FP32", "shape": [-1, 2, -1]}]
    values = ROWS[1][:, :37]
    sent = {"name": "sequence", "datatype": "FP32", "shape": [1, 2, 37]}
    body = {"inputs": [{**sent, "data": values.flatten().tolist()}]}
    status, answer = two.post("/v2/models/model/infer", body)
    truth = waves_model.answer({"sequence": values[None]})[0]
    assert status == 200
    np.testing.assert_allclose(answer["outputs"][0]["data"], truth, atol=1e-5)
    for shape, reason in (([1, 2], "[rows, 2, steps]"), ([1, 2, 0], "[rows, 2, steps]")):
        body = {"inputs": [{**sent, "shape": shape, "data": []}]}
        status, answer = two.post("/v2/models/model/infer", body)
        assert status == 400 and f"`shape` must be {reason}" in answer["error"]
    body = {"inputs": [{**sent, "shape": [1, 2, 1], "data": [None, None]}]}
    assert "row 0 has no value" in two.post("/v2/models/model/infer", body)[1]["error"]


def test_nearest_examples_come_with_lines_and_values(two):
    body = {"sequence": ROWS[0].tolist(), "include": ["nearest", "seen"]}
    _, answer = two.post("/predict", body)
    (row,) = answer["predictions"]
    assert row["seen"]["values"] == [[pytest.approx(v) for v in c] for c in ROWS[0].tolist()]
    assert {each["truth"] for each in row["nearest"]} == {NAMES[0]}
    content = row["nearest"][0]["content"]
    assert [line["name"] for line in content["lines"]] == ["x0", "x1"]
    assert len(content["values"]) == 2 and content["steps"] == len(content["values"][0])


def test_drift_watches_length_mean_and_spread(waves_model, two):
    feed = {"sequence": together([ROWS[0][:, :7], ROWS[1]])}
    feed["sequence"][0, 1] = np.nan
    found = summarise(feed, waves_model.schema)
    assert found["length"] == [7, ROWS[1].shape[1]]
    assert found["mean of x0"] == pytest.approx(
        [r[0].mean() for r in (ROWS[0][:, :7], ROWS[1])], abs=1e-4
    )
    assert found["spread of x1"][0] is None
    assert found["spread of x1"][1] == pytest.approx(ROWS[1][1].std(), abs=1e-4)
    same, far = waves(2, n=200, seed=8)[0], [row + [[0], [3]] for row in waves(2, n=200, seed=8)[0]]
    profile = two.engine.reference.profile
    for rows, moved in ((same, False), (far, True)):
        columns = {
            c.name: c
            for c in profile.compare(summarise({"sequence": together(rows)}, waves_model.schema))
        }
        assert (columns["mean of x1"].state == "shifted") == moved
        assert columns["length"].state == "steady"


def test_lists_of_one_channel_may_be_flat(tones_model):
    inputs = tones_model.schema.input
    flat, nested = (
        read_sequence(item, inputs).values for item in ([1, None, 2.5], [[1, None, 2.5]])
    )
    np.testing.assert_array_equal(flat, nested)


def test_what_is_no_sequence_is_refused(two):
    assert two.post("/predict", {"text": "a"})[0] == 422
    status, answer = two.post("/radius", {"sequence": ROWS[0].tolist()})
    assert status == 422 and "this model takes none" in answer["error"]["message"]
    about = two.get("/metadata")[1]["input"]
    assert (about["kind"], about["channels"], about["shape"]) == ("sequence", ["x0", "x1"], [2, 60])


def test_long_sequences_are_kept_in_smaller_numbers(waves_model):
    inputs = waves_model.schema.input
    counts = [
        _shown(dataclasses.replace(waves_model.schema, input=dataclasses.replace(inputs, shape=s)))
        for s in ((2, 60), (1, 16_000), (8, 16_384), (64, 16_384))
    ]
    assert counts == [5_000, 1_562, 190, 100]
