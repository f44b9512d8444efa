import gzip
import hashlib
import io
import re
import tarfile

import numpy as np
import pytest

from netwright.data import NAMED, DataError, load
from netwright.data._named import read_named


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data folder, an empty cache, and no network."""
    monkeypatch.delenv("NETWRIGHT_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    asked = []

    def retrieve(url, known_hash, fname, path, **options):
        asked.append((url, known_hash))
        raise OSError("Network is unreachable")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    return asked


@pytest.mark.parametrize("name", [n for n, known in NAMED.items() if known.files])
def test_absent_and_offline_says_where_to_put_the_files(nowhere, tmp_path, name):
    known = NAMED[name]
    with pytest.raises(DataError) as raised:
        load(name)
    message = str(raised.value)
    assert all(file in message and sha in message for file, sha in known.files.items())
    assert str(tmp_path / "netwright") in message and "NETWRIGHT_DATA" in message
    assert known.origin in message
    assert len(nowhere) == (known.remote is not None)  # nothing is asked for without an address


def test_the_pinned_hash_is_what_is_asked_for(nowhere):
    with pytest.raises(DataError, match="could not be fetched from https://.*: Network is unr"):
        load("mnist")
    assert nowhere == list(NAMED["mnist"].remote.files.items())


def test_a_changed_file_is_refused(nowhere, tmp_path, monkeypatch):
    (tmp_path / "tabular").mkdir()
    (tmp_path / "tabular" / "adult.csv.gz").write_bytes(gzip.compress(b"split,age,income\n"))
    monkeypatch.setenv("NETWRIGHT_DATA", str(tmp_path))
    with pytest.raises(DataError, match="adult.csv.gz is not the file .* expected is cc775d1d"):
        load("adult")


def test_the_data_folder_comes_before_the_cache(nowhere, tmp_path, monkeypatch):
    cached = tmp_path / "netwright" / "tabular"
    cached.mkdir(parents=True)
    (cached / "adult.csv.gz").write_bytes(b"broken")
    monkeypatch.setenv("NETWRIGHT_DATA", str(tmp_path / "data"))
    with pytest.raises(
        DataError, match=re.escape(str(cached))
    ):  # found there, since first lacks it
        load("adult")


def test_a_set_carried_by_a_library_needs_no_file(nowhere):
    assert load("wine").schema.input.shape == (13,) and nowhere == []


def test_fetched_files_are_read(nowhere, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 255, (100, 28, 28)).astype(np.uint8),
        "y_train": np.arange(100) % 10,
        "x_test": rng.integers(0, 255, (30, 28, 28)).astype(np.uint8),
        "y_test": np.arange(30) % 10,
    }
    np.savez(tmp_path / "fetched.npz", **arrays)
    monkeypatch.setattr("pooch.retrieve", lambda *args, **kw: str(tmp_path / "fetched.npz"))
    task = load("mnist")
    assert len(task.test) == 30 and task.name == "mnist"


def test_official_fashion_mnist_files(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    wanted = []
    for n in (20, 10):
        for shape in ((n, 28, 28), (n,)):
            array = rng.integers(0, 10, shape).astype(np.uint8)
            head = bytes([0, 0, 8, len(shape)]) + b"".join(s.to_bytes(4, "big") for s in shape)
            path = tmp_path / f"{len(paths)}.gz"
            path.write_bytes(gzip.compress(head + array.tobytes()))
            paths.append(path)
            wanted.append(array)
    gathered = NAMED["fashion_mnist"].remote.read(*paths)
    assert (gathered.pictures[:, 0] == np.concatenate([wanted[0], wanted[2]])).all()
    assert gathered.official.tolist() == [0] * 20 + [3] * 10
    assert gathered.table["target"].to_pylist() == np.concatenate([wanted[1], wanted[3]]).tolist()


def test_the_official_cifar10_archive(tmp_path):
    rng = np.random.default_rng(0)
    rows = {f"data_batch_{i}.bin": rng.integers(0, 10, (4, 3073)) for i in range(1, 6)}
    rows["test_batch.bin"] = rng.integers(0, 10, (3, 3073))
    path = tmp_path / "c.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, array in reversed(rows.items()):
            content = array.astype(np.uint8).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    gathered = NAMED["cifar10"].remote.read(path)
    assert gathered.pictures.shape == (23, 3, 32, 32) and gathered.official.tolist()[-3:] == [3] * 3
    first = rows["data_batch_1.bin"][0]
    assert gathered.table["target"][0].as_py() == first[0]
    assert (gathered.pictures[0].reshape(-1) == first[1:]).all()


def test_pinned_hashes_are_those_of_the_data_folder(shared_data):
    for known in NAMED.values():
        for file, sha256 in known.files.items():
            assert hashlib.sha256((shared_data / file).read_bytes()).hexdigest() == sha256


KNOWN = {  # rows that can be used, rows of the test split, classes
    "digits": (1797, 359, 10),
    "iris": (150, 30, 3),
    "wine": (178, 36, 3),
    "breast_cancer": (569, 114, 2),
    "diabetes": (442, 88, 0),
    "mnist": (70_000, 10_000, 10),
    "fashion_mnist": (3614, 723, 10),
    "cifar10": (60_000, 10_000, 10),
    "omniglot": (19_280, 3856, 964),
    "orl_faces": (380, 76, 38),
    "pneumoniamnist": (5855, 624, 2),
    "adult": (48_842, 16_281, 2),
    "california_housing": (20_640, 4128, 0),
    "compas": (6172, 1234, 2),
    "rt_polarity": (10_662, 2132, 2),
    "movie_reviews": (2000, 400, 2),
    "sst": (11_855, 2210, 5),
    "ag_news": (12_584, 7600, 4),
    "bbbp": (2050, 410, 2),
    "esol": (1128, 226, 0),
    "clintox": (1484, 297, 2),
    "fsdd": (3000, 300, 10),
    "ecg5000": (500, 100, 5),
    "basicmotions": (80, 40, 4),
    "italypowerdemand": (1096, 1029, 2),
    "arrowhead": (211, 175, 3),
    "japanesevowels": (640, 370, 9),
}


@pytest.mark.parametrize("name", NAMED)
def test_every_set_has_its_rows_and_classes(request, name):
    if NAMED[name].files:
        request.getfixturevalue("shared_data")
    if name in ("mnist", "adult"):  # loaded by test_load
        gathered = read_named(name)
        found = (len(gathered), int((gathered.official == 3).sum()))
        assert found == KNOWN[name][:2]
        return
    task = load(name)
    n = sum(len(split) for split in (task.train, task.validation, task.calibration, task.test))
    assert (n, len(task.test), len(task.schema.target.classes)) == KNOWN[name]
    assert task.quarantine.rows == () and task.name == name


def test_california_is_in_units_of_100_000_dollars(shared_data):
    task = load("california_housing")
    assert task.train.y.max() == pytest.approx(5.00001) and 1.9 < task.schema.target.mean[0] < 2.2


def test_class_names_stand_beside_the_right_rows(shared_data):
    task = load("rt_polarity")
    positive = task.schema.target.classes.index("positive")
    words = task.schema.input.vocabulary
    rows = task.train.x[task.train.y == positive], task.train.x[task.train.y != positive]
    share = [(rows[i] == words.index("moving") + 2).any(1).float().mean() for i in range(2)]
    assert share[0] > 1.5 * share[1]
