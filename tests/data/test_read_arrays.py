import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from netwright.data import DataError
from netwright.data._read_arrays import (
    read_dataset,
    read_huggingface,
    read_npz,
    read_pair,
    read_rows,
)

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    "names",
    [("x", "y"), ("images", "labels"), ("data", "target"), ("X", "Y"), ("features", "label")],
)
def test_npz_without_splits(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (X, Y), strict=True)))
    gathered = read_npz(tmp_path / "a.npz")
    assert gathered.table.column_names == ["x0", "x1", "target"] and gathered.official is None


@pytest.mark.parametrize("pattern", ["{kind}_{split}", "{split}_{kind}"])
def test_npz_with_splits(tmp_path, pattern):
    arrays = {}
    for split, n in (("train", 4), ("val", 1), ("test", 2)):
        arrays[pattern.format(kind="images", split=split)] = np.zeros((n, 5, 5), np.uint8)
        arrays[pattern.format(kind="labels", split=split)] = np.zeros(n)
    np.savez(tmp_path / "a.npz", **arrays)
    gathered = read_npz(tmp_path / "a.npz")
    assert gathered.official.tolist() == [0, 0, 0, 0, 1, 3, 3]
    assert gathered.pictures.shape == (7, 1, 5, 5)


def test_npz_without_what_is_needed(tmp_path):
    np.savez(tmp_path / "a.npz", first=X)
    with pytest.raises(DataError, match="holds first; wanted are arrays called x and y"):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.array([{}], object), y=Y[:1])
    with pytest.raises(DataError, match="never loaded"):
        read_npz(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="cannot be read as named arrays"):
        read_npz(tmp_path / "c.npz")


def test_pairs():
    assert read_pair(X, Y).table.num_columns == 3
    assert read_pair(torch.zeros(6, 3, 8, 9), Y).pictures.shape == (6, 3, 8, 9)
    assert read_pair(np.zeros((6, 8, 9, 3)), Y).pictures.shape == (6, 3, 8, 9)
    assert read_pair(["a b", "c"], [1, 2]).text == ("text",)
    assert read_pair(X, Y[:, None]).target == ("target",)
    assert read_pair(X, np.eye(6)).target == tuple(f"target_{i}" for i in range(6))
    assert read_pair(X, Y, names=["a", "b"]).table.column_names == ["a", "b", "target"]
    with pytest.raises(DataError, match="they must have equal lengths"):
        read_pair(X, Y[:5])
    with pytest.raises(DataError, match="no rows"):
        read_pair(X[:0], Y[:0])


def test_a_picture_with_a_nan_is_bad():
    pictures = np.zeros((4, 5, 5))
    pictures[2, 0, 0] = np.nan
    gathered = read_pair(pictures, Y[:4])
    assert len(gathered) == 3 and gathered.row.tolist() == [0, 1, 3]
    assert [bad.row for bad in gathered.bad] == [2]


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (np.arange(3.0), "table"),
        ([1, 2, 3], "table"),
        (2.5, "table"),
        ({"a": 1, "b": "x"}, "table"),
        ("some words", "text"),
        (np.zeros((5, 6), np.uint8), "image"),
        (torch.zeros(3, 5, 6), "image"),
        (Image.new("RGB", (6, 5)), "image"),
    ],
)
def test_rows(first, kind):
    gathered = read_rows([(first, "a"), (first, "b")])
    found = "image" if gathered.pictures is not None else "text" if gathered.text else "table"
    assert (found, gathered.table["target"].to_pylist()) == (kind, ["a", "b"])


def test_pictures_of_mixed_sizes_stay_apart():
    gathered = read_rows([(np.zeros((5, 6), np.uint8), 0), (np.zeros((7, 6), np.uint8), 1)])
    assert [picture.shape for picture in gathered.pictures] == [(5, 6), (7, 6)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([1, 2], "Row 0 is no pair"),
        ([(1, 2), (1, 2, 3)], "Row 1 is no pair"),
        ([([1, 2], 0), (3, 1)], "different shapes"),
        ([({"a": 1}, 0), ([1], 1)], "Row 1 is list, but row 0 a mapping"),
        ([("a", 0), (torch.ones(2), 1)], "Row 1 is Tensor, but row 0 a text"),
    ],
)
def test_rows_that_are_none(rows, message):
    with pytest.raises(DataError, match=message):
        read_rows(rows)


def test_targets_of_rows():
    assert read_rows([("a", [1, 0]), ("b", [0, 1])]).target == ("target_0", "target_1")
    assert read_rows([("a", ["x", "y"]), ("b", [])]).table["target"].to_pylist() == [["x", "y"], []]
    assert read_rows([("a", torch.tensor(3)), ("b", np.int64(4))]).table["target"][0].as_py() == 3


class Pictures(torch.utils.data.Dataset):
    classes = ("cat", "dog")

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return torch.full((1, 5, 5), i / 4), i % 2


def test_torch_data_sets():
    gathered = read_dataset(Pictures(), "pets")
    assert gathered.pictures.shape == (4, 1, 5, 5) and gathered.pictures[2, 0, 0, 0] == 128
    assert gathered.classes == {"target": ("cat", "dog")}


def test_iterable_data_sets_are_refused():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([])

    with pytest.raises(DataError, match="Stream has no length; wanted is a map-style data set"):
        read_dataset(Stream(), "s")


def test_hugging_face_data_sets(tmp_path):
    datasets = pytest.importorskip("datasets")  # honest: an extra; CI has it
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["zebra", "ape"]),
            "note": datasets.Value("string"),
        }
    )
    pictures = [Image.new("L", (4, 5), i) for i in range(4)]
    rows = {"image": pictures, "label": [0, 1, 0, 1], "note": list("abcd")}
    data = datasets.Dataset.from_dict(rows, features=features)
    gathered = read_huggingface(data.select([3, 1, 0]), "hf")
    assert gathered.target == ("label",) and gathered.classes["label"] == ("zebra", "ape")
    assert gathered.table["label"].to_pylist() == [1, 1, 0]
    assert isinstance(gathered.pictures[0], bytes)


def test_hugging_face_texts():
    datasets = pytest.importorskip("datasets")  # honest: an extra; CI has it
    data = datasets.Dataset.from_dict({"text": ["a b", "c d"], "label": [0, 1]})
    gathered = read_huggingface(data, "hf")
    assert gathered.text == ("text",) and gathered.target == ("label",)
    assert isinstance(gathered.table, pa.Table)
