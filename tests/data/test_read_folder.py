import json

import numpy as np
import pytest

from netwright.data import DataError
from netwright.data._read_folder import read_folder
from tests.data.conftest import write_png

PIXELS = np.zeros((4, 4), np.uint8)


def read(folder):
    return read_folder(folder, memory_limit=1 << 30, cache=folder.parent / "cache")


def test_a_folder_for_each_class(image_folder):
    gathered = read(image_folder)
    assert len(gathered) == 60 and gathered.files[0] == "ant/00.png"
    assert gathered.table["label"].to_pylist()[::20] == ["ant", "bee", "cat"]
    assert gathered.official is None and gathered.name == "photos"


def test_splits_above_the_classes(tmp_path):
    for split, n in (("train", 5), ("Valid", 2), ("testing", 3)):
        for i in range(n):
            write_png(tmp_path / "d" / split / "a" / f"{i}.png", PIXELS)
    gathered = read(tmp_path / "d")
    assert np.bincount(gathered.official).tolist() == [5, 2, 0, 3]
    assert gathered.files[-1] == "testing/a/2.png"


def test_classes_may_be_called_like_splits(tmp_path):
    for name in ("train", "bus"):
        write_png(tmp_path / "d" / name / "0.png", PIXELS)
    gathered = read(tmp_path / "d")
    assert gathered.official is None and gathered.table["label"].to_pylist() == ["bus", "train"]


def test_class_names_are_verbatim(tmp_path):
    for name in ("<b>x", "NA", "1.5"):
        write_png(tmp_path / "d" / name / "0.png", PIXELS)
    gathered = read(tmp_path / "d")
    assert set(gathered.table["label"].to_pylist()) == {"<b>x", "NA", "1.5"}
    assert gathered.verbatim == ("label",) and gathered.target_kind == "class"


def test_what_is_passed_over_is_noted(image_folder):
    (image_folder / "ant" / "notes.docx").touch()
    (image_folder / "ant" / ".DS_Store").touch()
    (image_folder / "ant" / "Thumbs.db").touch()
    (image_folder / "empty class").mkdir()
    assert read(image_folder).notes == (
        "1 files with other endings were passed over.",
        "Class folders without examples: empty class.",
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_pictures_beside_a_list(tmp_path, kind):
    for i in range(3):
        write_png(tmp_path / "d" / "sub" / f"{i}.png", PIXELS)
    if kind == "csv":
        lines = ["file_name,age"] + [f"sub/{i}.png,{i}" for i in range(2)]
    else:
        lines = [json.dumps({"file_name": f"sub/{i}.png", "age": i}) for i in range(2)]
    (tmp_path / "d" / f"metadata.{kind}").write_text("\n".join(lines))
    gathered = read(tmp_path / "d")
    assert gathered.table.column_names == ["age"] and len(gathered.pictures) == 2
    assert gathered.notes == (f"1 pictures are not listed in metadata.{kind} and are left out.",)


def test_a_list_may_not_reach_outside(tmp_path):
    write_png(tmp_path / "secret.png", PIXELS)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "metadata.csv").write_text("file_name,label\n../secret.png,a\n")
    with pytest.raises(DataError, match="names files outside its folder"):
        read(tmp_path / "d")


def test_a_list_without_file_names(tmp_path):
    (tmp_path / "metadata.csv").write_text("filename,label\na.png,b\n")
    with pytest.raises(DataError, match="needs a column `file_name`. Did you mean `filename`"):
        read(tmp_path)


def test_texts(tmp_path):
    for name, text in (("good", "fine film"), ("bad", "dull film")):
        (tmp_path / "d" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "d" / name / f"{i}.txt").write_text(f"{text} {i}")
    (tmp_path / "d" / "bad" / "3.txt").write_bytes(b"\xff\xfe\xfa")
    gathered = read(tmp_path / "d")
    assert gathered.text == ("text",) and len(gathered) == 6
    assert gathered.table["text"][0].as_py() == "dull film 0"
    assert gathered.row.tolist() == [0, 1, 2, 4, 5, 6]
    assert [(bad.file, bad.row) for bad in gathered.bad] == [("bad/3.txt", 3)]


def test_tables_called_like_splits(tmp_path):
    (tmp_path / "train.csv").write_text("a,y\n1,x\n2,y\n")
    (tmp_path / "test.csv").write_text("y,a\nx,3\n")
    gathered = read(tmp_path)
    assert gathered.table.to_pydict() == {"a": ["1", "2", "3"], "y": ["x", "y", "x"]}
    assert gathered.official.tolist() == [0, 0, 3] and gathered.row.tolist() == [0, 1, 2]
    (tmp_path / "test.csv").write_text("z,a\nx,3\n")
    with pytest.raises(DataError, match="different columns: y, z is not in both"):
        read(tmp_path)


def test_folders_that_say_nothing(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        read(tmp_path)
    write_png(tmp_path / "lonely.png", PIXELS)
    with pytest.raises(DataError, match="no sub-folder for each class and no metadata.csv"):
        read(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="hold no pictures .* and no .txt files"):
        read(tmp_path)
