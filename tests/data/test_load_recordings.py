import numpy as np
import pyarrow as pa
import pytest

from netwright.data import DataError, encode_sequences, load
from tests.data.conftest import parts, png_bytes, sizes
from tests.data.wav_files import BROKEN, SOUND, chunk, form, riff, wav


@pytest.fixture
def tones(rng):
    """60 recordings of 40 to 60 samples, high or low; their samples and names."""
    steps = [np.arange(n) for n in rng.integers(40, 61, 60)]
    x = [np.round(9000 * np.sin(t * (0.2 + i % 2))) for i, t in enumerate(steps)]
    return x, [("high", "low")[i % 2] for i in range(60)]


@pytest.fixture
def folder(tmp_path, tones):
    x, names = tones
    for i, (samples, name) in enumerate(zip(x, names, strict=True)):
        (tmp_path / "t" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name / f"{i:02}.wav").write_bytes(wav(samples))
    return tmp_path / "t"


def test_a_folder_for_each_class(folder, tones):
    x, _ = tones
    task = load(folder)
    inputs = task.schema.input
    assert (inputs.kind, inputs.shape, inputs.rate) == ("sequence", (1, 60), 8000)
    assert task.schema.target.classes == ("high", "low") and sizes(task) == [36, 6, 6, 12]
    order = [*range(0, 60, 2), *range(1, 60, 2)]  # by folder, then by name
    for part in parts(task):
        for row, place in zip(part.x.numpy(), part.rows.tolist(), strict=True):
            samples = x[order[place]]
            np.testing.assert_array_equal(row[0, : len(samples)], samples / 32768)
            assert np.isnan(row[0, len(samples) :]).all()
    again = encode_sequences([wav(x[0]), folder / "high" / "00.wav"], inputs)
    np.testing.assert_array_equal(again[0], again[1])


def test_pairs_of_a_path_and_a_target(folder):
    pairs = [(path, path.parent.name) for path in sorted(folder.rglob("*.wav"))]
    assert load(pairs).schema.input == load(folder).schema.input


def test_recordings_are_streamed(folder, tmp_path):
    memory = load(folder)
    file = load(folder, memory_limit=100, cache=tmp_path / "cache", workers=0)
    assert file.fingerprint == memory.fingerprint and type(file.train) is not type(memory.train)


def test_broken_recordings_are_left_out_with_a_reason(folder):
    for place, content in enumerate(BROKEN):
        (folder / "low" / f"broken{place:02}.wav").write_bytes(content)
    (folder / "high" / "98.wav").write_bytes(wav(np.ones((50, 2))))
    (folder / "high" / "99.wav").write_bytes(wav(np.ones(50), rate=44100))
    task = load(folder, max_bad=0.5)
    assert sum(sizes(task)) == 60
    reasons = {row[0]: row[2] for row in task.quarantine.rows}
    for place, why in enumerate(BROKEN.values()):
        assert why in reasons[f"low/broken{place:02}.wav"]
    assert reasons["high/98.wav"] == "2 channels; most have 1"
    assert reasons["high/99.wav"] == "44,100 samples a second; most have 8,000: resample it first"
    with pytest.raises(DataError, match="25 of 85 rows"):
        load(folder)


def test_stereo_recordings_keep_their_channels(tmp_path, rng):
    x = rng.integers(-9000, 9000, (60, 30, 2))
    for i, samples in enumerate(x):
        (tmp_path / str(i % 2)).mkdir(exist_ok=True)
        (tmp_path / str(i % 2) / f"{i:02}.WAV").write_bytes(wav(samples, rate=100, bits=24))
    inputs = load(tmp_path).schema.input
    assert inputs.shape == (2, 30) and inputs.rate == 100


def test_a_schema_fixes_rate_and_channels(folder, tones):
    schema = load(folder).schema
    with pytest.raises(DataError, match="Sequence 1: 100 samples a second; the schema has 8,000"):
        encode_sequences([SOUND, wav(np.ones(4), rate=100)], schema.input)
    with pytest.raises(DataError, match="Sequence 0: 2 channels; the schema has 1"):
        encode_sequences([wav(np.ones((4, 2)))], schema.input)
    assert load(folder, schema=schema).fingerprint == load(folder).fingerprint


def test_recordings_beside_a_list(folder, tones):
    _, names = tones
    lines = [f"{name}/{i:02}.wav,{name},{i % 5}" for i, name in enumerate(names)]
    lines[7] = "low/nothing.wav,low,2"
    (folder / "metadata.csv").write_text("file_name,label,speaker\n" + "\n".join(lines))
    task = load(folder, by="speaker")
    assert task.schema.input.kind == "sequence" and task.schema.groups == ("speaker",)
    assert task.quarantine.rows == (("low/nothing.wav", 7, "the file does not exist"),)
    assert "1 recordings are not listed in metadata.csv and are left out." in task.notes


def test_the_ending_that_most_files_have_decides(folder, rng):
    (folder / "low" / "cover.png").write_bytes(png_bytes(np.zeros((5, 5), np.uint8)))
    task = load(folder)
    assert task.schema.input.kind == "sequence"
    assert "1 files with other endings were passed over." in task.notes


def test_recordings_in_splits(tmp_path, tones):
    x, names = tones
    for i, (samples, name) in enumerate(zip(x, names, strict=True)):
        part = tmp_path / ("train" if i < 40 else "test") / name
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{i:02}.wav").write_bytes(wav(samples))
    assert len(load(tmp_path).test) == 20


def test_floats_that_are_no_numbers_are_left_out(folder):
    samples = np.array([0.5, np.inf, 0.1], "<f4").tobytes()
    (folder / "low" / "x.wav").write_bytes(riff(form(3, block=4, bits=32), chunk(b"data", samples)))
    assert load(folder).quarantine.rows[0][2] == "the sequence has a value that is not finite"


def test_hugging_face_recordings(folder, tones):
    import datasets

    x, names = tones
    paths = [str(folder / name / f"{i:02}.wav") for i, name in enumerate(names)]
    rows = datasets.Dataset.from_dict({"audio": paths, "label": names})
    task = load(rows.cast_column("audio", datasets.Audio(decode=False)))
    assert task.schema.input.rate == 8000 and task.schema.target.classes == ("high", "low")
    held = [{"bytes": content, "path": None} for content in [wav(x[0])] * 30 + [SOUND] * 30]
    rows = datasets.Dataset(pa.table({"audio": held, "label": names}))
    task = load(rows.cast_column("audio", datasets.Audio(decode=False)))
    assert task.schema.input.shape == (1, len(x[0]))
