import numpy as np
import pytest

from netwright.data import DataError, load
from tests.data.conftest import all_rows, huge_png, sizes, write_png


def test_a_folder_of_pictures(image_folder):
    task = load(image_folder)
    assert task.schema.input.shape == (1, 12, 10) and not task.schema.input.resized
    assert task.schema.target.classes == ("ant", "bee", "cat") and sizes(task) == [36, 6, 6, 12]
    # mean and deviation are those of the training pictures
    pixels = task.train.x.double() / 255
    assert task.schema.input.mean == pytest.approx([pixels.mean().item()], rel=1e-12)
    assert task.schema.input.std == pytest.approx([pixels.std(correction=0).item()], rel=1e-12)


def test_bad_pictures_are_left_out_with_file_row_and_reason(image_folder):
    whole = (image_folder / "ant" / "03.png").read_bytes()
    (image_folder / "ant" / "03.png").write_bytes(whole[:-40])
    (image_folder / "bee" / "05.png").write_bytes(b"")
    (image_folder / "cat" / "07.png").write_bytes(huge_png(30_000, 30_000))
    task = load(image_folder, max_bad=0.1)
    (first, second, third) = task.quarantine.rows
    assert first[:2] == ("ant/03.png", 3) and "truncated" in first[2]
    assert second == ("bee/05.png", 25, "the file is empty")
    assert third[:2] == ("cat/07.png", 47) and "pixels" in third[2]
    assert not {3, 25, 47} & set(all_rows(task)) and sum(sizes(task)) == 57
    with pytest.raises(DataError, match=r"3 of 60 rows \(5.0%\)"):
        load(image_folder, max_bad=0.04)


def test_pictures_of_mixed_sizes_and_colours(tmp_path, rng):
    for i in range(40):
        size = (20, 30) if i % 4 else (60, 30)
        shape = size if i % 2 else (*size, 3)
        pixels = rng.integers(0, 255, shape).astype(np.uint8)
        write_png(tmp_path / "d" / "ab"[i % 2] / f"{i}.png", pixels)
    task = load(tmp_path / "d")
    assert task.schema.input.shape == (3, 20, 30) and task.schema.input.resized
    assert "Pictures of 2 sizes were brought to 30 x 20 pixels." in task.notes


def test_large_pictures_are_brought_to_96_pixels(rng):
    pictures = rng.integers(0, 255, (30, 120, 200)).astype(np.uint8)
    task = load((pictures, np.arange(30) % 2))
    assert task.schema.input.shape == (1, 58, 96) and task.schema.input.resized


def test_a_leaked_picture_is_reported(image_folder):
    before = load(image_folder)
    assert before.duplicates.rows == ()
    test_row = int(before.test.rows[0])
    train_row = int(before.train.rows[0])
    names = [f"{c}/{i:02}.png" for c in ("ant", "bee", "cat") for i in range(20)]
    copy = (image_folder / names[train_row]).read_bytes()
    (image_folder / names[test_row]).write_bytes(copy)
    same = "yes" if names[train_row][:3] == names[test_row][:3] else "no"
    found = load(image_folder).duplicates.rows
    assert found == (("exact", "test", test_row, "train", train_row, same),)


def test_pictures_beside_a_list_with_groups(tmp_path, rng):
    lines = ["file_name,quality,site"]
    for i in range(60):
        write_png(tmp_path / "d" / f"{i}.png", rng.integers(0, 255, (6, 6)).astype(np.uint8))
        lines.append(f"{i}.png,{i / 7:.3f},{'north' if i % 3 else 'south'}")
    lines.append("gone.png,1,north")
    (tmp_path / "d" / "metadata.csv").write_text("\n".join(lines))
    task = load(tmp_path / "d", target="quality", by="site")
    assert task.schema.target.kind == "value" and task.schema.groups == ("site",)
    wanted = ["north" if row % 3 else "south" for row in task.train.rows.tolist()]
    assert task.train.groups == {"site": tuple(wanted)}
    assert task.quarantine.rows == (("gone.png", 60, "the file does not exist"),)
