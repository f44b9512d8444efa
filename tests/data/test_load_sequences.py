import numpy as np
import pytest
import torch

from netwright.data import (
    ArrowSplit,
    DataError,
    describe,
    encode_sequences,
    load,
    schema_from_json,
    schema_from_toml,
    schema_to_json,
    schema_to_toml,
)
from tests.data.conftest import parts, sizes

NAN = np.float32("nan")


SPEAKERS = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]


@pytest.fixture
def waves(rng):
    """90 recordings of two channels, 4 to 20 steps, in three classes of rising frequency."""
    lengths = rng.integers(4, 21, 90)
    y = np.arange(90) % 3
    x = [
        np.stack([np.sin(np.arange(n) * (k + 1)), rng.normal(100, 5, n)])
        for n, k in zip(lengths, y, strict=True)
    ]
    return x, y


def padded(items):
    x = np.full((len(items), 2, max(item.shape[1] for item in items)), NAN, np.float32)
    for row, item in zip(x, items, strict=True):
        row[:, : item.shape[1]] = item
    return x


@pytest.mark.parametrize("kind", ["list", "padded", "tensor", "rows", "npz", "dataset", "float64"])
def test_every_kind_of_arrays_gives_the_same_task(tmp_path, waves, kind):
    x, y = waves
    whole = padded(x)
    if kind == "npz":
        np.savez(tmp_path / "data.npz", x=whole, y=y)
    source = {
        "list": (x, y),
        "padded": (whole, y),
        "tensor": (torch.from_numpy(whole), torch.from_numpy(y)),
        "rows": list(zip(x, y.tolist(), strict=True)),
        "npz": tmp_path / "data.npz",
        "dataset": torch.utils.data.TensorDataset(torch.from_numpy(whole), torch.from_numpy(y)),
        "float64": (whole.astype(np.float64), y),
    }[kind]
    task = load(source)
    inputs = task.schema.input
    assert inputs.kind == "sequence" and inputs.shape == (2, 20) and sizes(task) == [54, 9, 9, 18]
    assert inputs.channels == ("x0", "x1") and inputs.rate == 0
    assert task.schema.target.classes == ("0", "1", "2") and task.quarantine.rows == ()
    for part in parts(task):
        np.testing.assert_array_equal(part.x.numpy(), whole[part.rows][:, :, :20])
    train = whole[task.train.rows][:, :, :20].astype(np.float64)
    np.testing.assert_allclose(inputs.mean, np.nanmean(train, axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(inputs.std, np.nanstd(train, axis=(0, 2)), rtol=1e-6)
    assert task.fingerprint == load((x, y)).fingerprint or kind == "npz"


def test_vectors_of_unequal_length_are_sequences_of_one_channel(rng):
    x = [rng.normal(size=n).tolist() for n in rng.integers(2, 9, 60)]
    task = load((x, np.arange(60) % 2))
    assert task.schema.input.shape == (1, 8) and task.schema.input.kind == "sequence"


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.random.default_rng(0).random((60, 6, 7)), "image"),
        (np.random.default_rng(0).integers(0, 256, (60, 6, 7)), "image"),
        (np.random.default_rng(0).integers(0, 256, (60, 6, 7)).astype(np.float64), "image"),
        (np.random.default_rng(0).normal(size=(60, 6, 7)), "sequence"),
        (np.random.default_rng(0).random((60, 6, 7)) * 3, "sequence"),
        (np.random.default_rng(0).integers(-300, 300, (60, 1, 7)).astype(np.int16), "sequence"),
        (np.random.default_rng(0).normal(size=(60, 7)), "table"),
    ],
)
def test_what_arrays_are_taken_for(x, kind):
    y = np.arange(60) % 2
    assert load((x, y)).schema.input.kind == kind
    forced = load((x, y), schema={"x": "sequence"})
    assert forced.schema.input.kind == "sequence"
    assert forced.schema.input.shape == (x.shape[1:] if x.ndim == 3 else (1, 7))
    again = load((x, y), schema=forced.schema)
    assert again.schema == forced.schema and again.fingerprint == forced.fingerprint


def test_lists_with_gaps_and_pictures_of_several_sizes(rng):
    y = np.arange(60) % 2
    x = [[[1.5, None, 3.5][: 1 + i % 3], [0.25, 0.5, None][: 1 + i % 3]] for i in range(60)]
    task = load((x, y), max_bad=0.5)
    assert task.schema.input.shape == (2, 3) and task.quarantine.rows == ()
    assert task.train.x.isnan().any(1).any()
    pictures = [(rng.integers(0, 255, (8, 8 + i % 3)).astype(np.uint8), i % 2) for i in range(60)]
    assert load(pictures).schema.input.kind == "image"
    assert load(pictures, schema={"x": "sequence"}).schema.input.kind == "sequence"
    with pytest.raises(DataError, match="differ in shape"):
        load(([picture for picture, _ in pictures], y))
    first = [(None, 0), *[(rng.normal(size=(1, 5)), i % 2) for i in range(59)]]
    found = load(first, schema={"x": "sequence"})
    assert found.quarantine.rows == (("", 0, "the sequence is missing"),)


@pytest.mark.parametrize(("shape", "told"), [((60, 2, 16), True), ((60, 6, 16), False)])
def test_slim_pictures_may_be_sequences(rng, shape, told):
    notes = load((rng.random(shape), np.arange(60) % 2)).notes
    hint = "taken for pictures of 16 x 2 pixels; `schema={'x': 'sequence'}` reads it as sequences."
    assert any(hint in note for note in notes) is told
    pixels = (rng.random(shape) * 255).astype(np.uint8)
    assert not any("sequences" in note for note in load((pixels, np.arange(60) % 2)).notes)


def test_pictures_that_were_standardised_are_told_what_they_were_taken_for(rng):
    y = np.arange(60) % 2
    wide, flat, small = (rng.normal(size=(60, *shape)) for shape in ((6, 9), (1, 9), (6, 9)))
    small = 1 / (1 + np.exp(-small))
    small[:, :, 7:] = np.nan
    hint = (
        "The array was taken for sequences of 6 channels and 9 steps, since its numbers are no "
        "pixels; scale pixels to [0, 1] for pictures.",
    )
    for source in ((wide, y), list(zip(wide, y.tolist(), strict=True))):
        task = load(source)
        assert task.schema.input.kind == "sequence" and task.notes == hint
    assert load((wide, y), schema={"x": "sequence"}).notes == ()
    assert load((flat, y)).notes == () and load((small, y)).notes == ()


def test_arrays_in_the_range_of_pictures_that_end_in_nan_are_sequences(rng):
    x = rng.random((60, 3, 8))
    x[::2, :, 5:] = np.nan
    assert load((x, np.arange(60) % 2)).schema.input.kind == "sequence"
    x = rng.random((60, 3, 8))
    x[7] = np.nan
    x[8, 0, 0] = np.nan
    found = load((x, np.arange(60) % 2))
    assert found.schema.input.kind == "image"
    assert [row[1] for row in found.quarantine.rows] == [7, 8]


def test_bad_rows_are_left_out_with_their_reason(waves):
    x, y = waves
    x[3] = np.full((2, 5), np.nan)
    x[11] = x[11].copy()
    x[11][1, 2] = -np.inf
    x[20] = np.zeros((3, 5))
    x[30] = np.zeros((2, 0))
    task = load((x, y), schema={"x": "sequence"})
    assert task.quarantine.rows == (
        ("", 3, "the sequence has no value"),
        ("", 11, "the sequence has a value that is not finite"),
        ("", 20, "3 channels; most have 2"),
        ("", 30, "the sequence has no steps"),
    )
    assert sum(sizes(task)) == 86
    with pytest.raises(DataError, match=r"4 of 90 rows \(4.4%\) cannot be used; at most 1%"):
        load((x, y), schema={"x": "sequence"}, max_bad=0.01)


def test_nothing_usable_is_an_error():
    with pytest.raises(DataError, match="90 of 90 rows .* the sequence has no value"):
        load((np.full((90, 1, 4), np.nan), np.arange(90) % 2), schema={"x": "sequence"})


def test_long_rows_are_cut_and_counted(rng):
    x = [rng.normal(size=(1, 6)) for _ in range(300)]
    x[0] = rng.normal(size=(1, 5000))
    task = load((x, np.arange(300) % 2))
    assert task.schema.input.shape == (1, 6)
    assert task.notes == ("1 sequences were cut to 6 steps.",)
    x[0][:, :10] = np.nan
    notes = load((x, np.arange(300) % 2)).notes
    assert notes == (task.notes[0], "1 of them have no value before that.")


def test_the_length_is_limited(rng, monkeypatch):
    monkeypatch.setattr("netwright.data._sequences.LENGTH", 4)
    task = load((rng.normal(size=(60, 1, 9)), np.arange(60) % 2))
    assert task.schema.input.shape == (1, 4)
    assert "60 sequences were cut to 4 steps." in task.notes


def test_swapped_axes_are_suspected(rng):
    task = load((rng.normal(size=(60, 40, 3)), np.arange(60) % 2))
    assert any("swap the last two axes" in note for note in task.notes)


def test_statistics_know_the_training_rows_alone(waves):
    x, y = waves
    first = load((x, y))
    for part in parts(first)[1:]:
        for row in part.rows:
            x[row] = x[row] + 1e4
    again = load((x, y))
    assert again.schema == first.schema and again.fingerprint != first.fingerprint


def test_a_constant_channel_and_one_without_values(rng):
    x = rng.normal(size=(60, 3, 5))
    x[:, 1] = 7
    x[:, 2] = np.nan
    inputs = load((x, np.arange(60) % 2)).schema.input
    assert inputs.mean[1:] == (7, 0) and inputs.std[1:] == (1, 1)


def test_schemas_go_to_text_and_back(waves):
    task = load(waves)
    assert schema_from_json(schema_to_json(task.schema)) == task.schema
    assert schema_from_toml(schema_to_toml(task.schema)) == task.schema
    bare = schema_from_toml(schema_to_toml(task.schema, statistics=False))
    assert bare.input.mean == () and bare.input.shape == (2, 20)
    assert load(waves, schema=bare).schema == task.schema
    assert describe(task.schema).splitlines()[-1] == (
        "input   sequence  2 channels (x0, x1), 20 steps"
    )


def test_new_rows_are_coded_by_a_given_schema(waves):
    x, y = waves
    schema = load((x, y)).schema
    rows = load((x[:30], y[:30]), schema=schema, split={"test": 1.0}).test.open("test").x
    assert torch.equal(rows.nan_to_num(), encode_sequences(x[:30], schema.input).nan_to_num())
    with pytest.raises(DataError, match="60 of 60 rows .* 1 channels; the schema has 2"):
        load((np.zeros((60, 1, 5)) - 1, np.arange(60) % 2), schema=schema)


def test_rows_that_do_not_fit_in_memory_are_streamed(tmp_path, waves):
    memory = load(waves)
    file = load(waves, memory_limit=1000, cache=tmp_path, workers=0)
    assert isinstance(file.train, ArrowSplit) and file.fingerprint == memory.fingerprint
    assert file.schema == memory.schema and file.duplicates == memory.duplicates
    for one, two in zip(parts(memory), parts(file), strict=True):
        np.testing.assert_array_equal(one.take(slice(None)), two.take(slice(None)))


def test_copies_across_splits_are_reported(waves, rng):
    x, y = waves
    task = load((x, y))
    test, train = [int(part.rows[0]) for part in (parts(task)[3], task.train)]
    other, source = [int(part.rows[1]) for part in (parts(task)[3], task.train)]
    x[test] = np.concatenate(
        [x[train], np.full((2, 3), np.nan)], axis=1
    )  # the same but for padding
    x[other] = x[source] * (1 + 1e-4)
    rows = load((x, y)).duplicates.rows
    assert [row[:5] for row in rows] == [
        ("exact", "test", test, "train", train),
        ("near", "test", other, "train", source),
    ]


def test_unequal_rows_and_targets_are_refused(waves):
    x, y = waves
    with pytest.raises(DataError, match="90 rows and `y` has shape"):
        load((x, y[:80]))
    with pytest.raises(DataError, match="unknown kind 'sequenc'.* Did you mean `sequence`"):
        load((x, y), schema={"x": "sequenc"})


def test_only_some_splits_look_like_sequences(rng):
    y = np.arange(60) % 2
    source = {"train": (rng.normal(size=(60, 1, 9)), y), "test": (rng.random((60, 1, 9)), y)}
    with pytest.raises(DataError, match="splits of data hold images"):
        load(source)
    assert load(source, schema={"x": "sequence"}).schema.input.kind == "sequence"


def test_spoken_digits_keep_their_official_test_and_their_speakers(shared_data):
    task = load("fsdd", by="speaker")
    assert task.schema.input.rate == 8000 and len(task.test) == 300
    assert sorted(set(task.train.groups["speaker"])) == SPEAKERS
    assert 0.5 < task.train.x.nan_to_num().abs().max() <= 1  # parts of full scale
    with np.load(shared_data / "audio" / "fsdd.npz") as file:
        end = int(file["length"][0])
        first = file["samples"][:end] / np.float32(32768)
    test = task.test.open("test")
    row = test.x[test.rows.tolist().index(0), 0]  # the first repetition
    np.testing.assert_array_equal(row[:end].numpy(), first)
    assert row[end:].isnan().all()


def test_vowels_end_where_the_archive_says(shared_data):
    task = load("japanesevowels")
    with np.load(shared_data / "timeseries" / "ucr_japanesevowels.npz") as file:
        lengths = np.concatenate([file["length_train"], file["length_test"]])
    for part in (task.train, task.test.open("test")):
        steps = (~part.x.isnan()).all(1).sum(1).numpy()
        np.testing.assert_array_equal(
            steps, np.minimum(lengths[part.rows], task.schema.input.shape[1])
        )
