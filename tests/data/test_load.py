import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from netwright.data import ArrowSplit, DataError, TensorSplit, load
from tests.data.conftest import huge_png, png_bytes, write_png


def parts(task):
    return [task.train, task.validation, task.calibration, task.test.open("test")]


def sizes(task):
    return [len(part) for part in parts(task)]


def all_rows(task):
    return sorted(torch.cat([part.rows for part in parts(task)]).tolist())


@pytest.fixture
def table(rng):
    """200 rows: a number, a category, a date, a boolean and a class that follows the number."""
    n = 200
    amount = rng.normal(10, 3, n).round(3)
    return pa.table(
        {
            "amount": amount,
            "colour": rng.choice(["red", "green", "blue"], n),
            "day": np.datetime64("2024-01-01") + np.arange(n) // 2,
            "member": rng.choice([True, False], n),
            "patient": [f"p{i // 4}" for i in range(n)],
            "bought": np.where(amount > 10, "yes", "no"),
        }
    ).to_pandas()


def write_csv(path, table):
    table.to_csv(path, index=False)
    return path


# Splits


def test_every_good_row_is_in_exactly_one_split(table):
    task = load(table, target="bought")
    assert sizes(task) == [120, 20, 20, 40] and all_rows(task) == list(range(200))


def test_classes_keep_their_shares(rng):
    y = rng.choice(4, 1000, p=[0.5, 0.3, 0.15, 0.05])
    task = load((rng.normal(size=(1000, 3)), y))
    for part, share in zip(parts(task), (0.6, 0.1, 0.1, 0.2), strict=True):
        wanted = np.bincount(y) * share
        assert np.abs(part.y.bincount(minlength=4).numpy() - wanted).max() <= 2


def test_no_patient_is_on_both_sides(table):
    task = load(table, target="bought", group="patient")
    groups = [set(table["patient"].iloc[part.rows]) for part in parts(task)]
    assert all(not a & b for i, a in enumerate(groups) for b in groups[:i])
    assert "Column `patient` decides the split and is no input." in task.notes
    assert "patient" not in [column.name for column in task.schema.input.columns]


def test_groups_of_several_columns_are_linked(rng):
    import pandas as pd

    n = 400
    frame = pd.DataFrame({"x": rng.normal(size=n), "y": rng.choice(["a", "b"], n)})
    frame["patient"] = np.arange(n) // 4
    frame["family"] = np.arange(n) // 10
    task = load(frame, target="y", group=["patient", "family"])
    for name in ("patient", "family"):
        groups = [set(frame[name].iloc[part.rows]) for part in parts(task)]
        assert all(not a & b for i, a in enumerate(groups) for b in groups[:i])


def test_test_rows_are_later_than_training_rows(table):
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    task = load(shuffled, target="bought", time="day")
    days = [shuffled["day"].iloc[part.rows] for part in parts(task)]
    assert all(a.max() < b.min() for a, b in zip(days[:-1], days[1:], strict=True))


def test_rows_without_group_or_time_are_left_out(table):
    table.loc[3, "patient"] = None
    task = load(table, target="bought", group="patient")
    assert task.quarantine.rows == (("", 3, "the group `patient` is missing"),)


def test_a_column_names_the_split(table):
    table["part"] = ["train"] * 100 + ["val"] * 30 + ["test"] * 70
    task = load(table, target="bought", split="part")
    assert sizes(task) == [90, 30, 10, 70]
    assert task.test.rows.tolist() == list(range(130, 200))
    table["part"] = ["train"] * 199 + ["holdout"]
    with pytest.raises(DataError, match="holds 'holdout'; splits are called train, validation"):
        load(table, target="bought", split="part")


def test_shares_can_be_chosen(table):
    task = load(table, target="bought", split={"train": 0.5, "test": 0.5})
    assert sizes(task) == [100, 0, 0, 100]
    with pytest.raises(ValueError, match="that sum to 1; got {'train': 0.5}"):
        load(table, target="bought", split={"train": 0.5})


def test_the_same_seed_gives_the_same_task_and_another_another(table):
    first, again, other = (load(table, target="bought", seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert torch.equal(first.train.x.nan_to_num(), again.train.x.nan_to_num())
    assert not torch.equal(first.train.rows, other.train.rows)


def test_the_fingerprint_sees_one_changed_cell(table):
    before = load(table, target="bought", name="one").fingerprint
    assert load(table, target="bought", name="two").fingerprint == before
    table.loc[17, "amount"] += 1e-3
    assert load(table, target="bought").fingerprint != before


def test_the_schema_knows_nothing_of_validation_and_test_rows(table):
    table["part"] = (["train"] * 120 + ["valid", "calibration", "test"] * 80)[:200]
    before = load(table, target="bought", split="part").schema
    hidden = table["part"] != "train"
    table.loc[hidden, "amount"] *= 1000
    table.loc[hidden, "colour"] = "ultraviolet"
    assert load(table, target="bought", split="part").schema == before


def test_loading_is_no_look_at_the_test_split():
    task = load("iris")
    assert task.test.looks == [] and len(task.test) == 30


# Kinds of target


def test_several_values(table):
    table["weight"] = table["amount"] * 2.5
    task = load(table, target=["amount", "weight"])
    assert task.schema.target.kind == "values" and task.train.y.shape == (120, 2)
    assert task.schema.target.mean == pytest.approx(task.train.y.double().mean(0).tolist())


def test_labels_in_columns_and_in_one_cell(table):
    table["a"], table["b"] = table["member"].astype(int), (table["amount"] > 9).astype(int)
    by_column = load(table, target=["a", "b"])
    assert by_column.schema.target.classes == ("a", "b")
    table["tags"] = [
        "|".join(n for n, on in (("a", a), ("b", b)) if on)
        for a, b in zip(table["a"], table["b"], strict=True)
    ]
    in_cell = load(table.drop(columns=["a", "b"]), target="tags")
    assert in_cell.schema.target.kind == "labels"
    # the same rows are drawn, since the strata are the same
    assert torch.equal(by_column.train.y, in_cell.train.y)


def test_the_kind_of_target_can_be_forced(table):
    table["grade"] = np.arange(200) % 5
    assert load(table, target="grade").schema.target.kind == "class"
    assert load(table, target="grade", schema={"grade": "value"}).schema.target.kind == "value"
    with pytest.raises(DataError, match="unknown kind 'klass'. Did you mean `class`"):
        load(table, target="grade", schema={"grade": "klass"})


def test_a_plain_target_need_not_be_named(table):
    task = load(table.rename(columns={"bought": "label"}))
    assert task.schema.target.names == ("label",)
    assert "Column `label` was taken as the target." in task.notes


# Bad input


def test_a_missing_target_column_is_an_error_with_the_nearest_name(table):
    with pytest.raises(DataError, match="`target` names the column `bougth`.*mean `bought`"):
        load(table, target="bougth")
    with pytest.raises(DataError, match="`target=` must name the column to predict"):
        load(table)


def test_targets_that_are_missing_or_infinite(table):
    table.loc[4, "amount"] = np.inf
    table.loc[9, "amount"] = np.nan
    task = load(table, target="amount")
    assert [row[1:] for row in task.quarantine.rows] == [
        (4, "the target `amount` is not finite"),
        (9, "the target `amount` is missing"),
    ]
    assert not {4, 9} & set(all_rows(task)) and "2 rows were left out" in " ".join(task.notes)


def test_a_class_of_one_row(table):
    table.loc[7, "bought"] = "perhaps"
    task = load(table, target="bought")
    assert task.schema.target.classes == ("no", "yes")
    ((_, row, reason),) = task.quarantine.rows
    assert row == 7 and "the only row of its class" in reason


def test_a_class_that_only_the_test_split_has(table):
    table["part"] = ["train"] * 100 + ["test"] * 100
    table.loc[150:152, "bought"] = "perhaps"
    task = load(table, target="bought", split="part")
    assert [row[1] for row in task.quarantine.rows] == [150, 151, 152]
    assert "no row in the training split" in task.quarantine.rows[0][2]


def test_mixed_types(tmp_path, table):
    table["amount"] = table["amount"].astype(object)
    table.loc[5, "amount"] = "twelve"
    table.loc[6, "amount"] = "=2+3"
    task = load(write_csv(tmp_path / "t.csv", table), target="bought")
    assert [row[:2] for row in task.quarantine.rows] == [("t.csv", 5), ("t.csv", 6)]
    assert task.quarantine.rows[0][2].startswith("column `amount` is not a number")
    assert task.quarantine.rows[0][2].endswith(": 'twelve'")
    table.loc[20:90, "amount"] = "unknown"
    with pytest.raises(DataError, match=r"73 of 200 rows \(36.5%\).*column `amount` is not a numb"):
        load(write_csv(tmp_path / "t.csv", table), target="bought")
    task = load(tmp_path / "t.csv", target="bought", schema={"amount": "ignore"})
    assert task.quarantine.rows == ()


def test_formulas_and_markup_in_words_are_kept_as_they_are(table):
    table["colour"] = np.where(table["colour"] == "red", "=1+1", "<b>&amp;</b>")
    table["bought"] = np.where(table["bought"] == "yes", "<script>alert(1)</script>", "@no")
    task = load(table, target="bought")
    assert task.schema.target.classes == ("<script>alert(1)</script>", "@no")
    columns = {column.name: column for column in task.schema.input.columns}
    assert columns["colour"].categories == ("<b>&amp;</b>", "=1+1")


def test_rows_of_the_wrong_width(tmp_path, table):
    path = write_csv(tmp_path / "t.csv", table)
    lines = path.read_text().splitlines()
    lines[11] += ",too,many"
    path.write_text("\n".join(lines))
    task = load(path, target="bought")
    assert task.quarantine.rows == (("t.csv", 10, "8 columns; the header has 6"),)
    assert all_rows(task) == [i for i in range(200) if i != 10]


def test_above_the_threshold_nothing_is_loaded(tmp_path, table):
    path = write_csv(tmp_path / "t.csv", table)
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([line + ",x" if i % 10 == 3 else line for i, line in enumerate(lines)])
    )
    with pytest.raises(DataError, match=r"20 of 200 rows \(10.0%\)") as raised:
        load(path, target="bought")
    assert len(raised.value.quarantine.rows) == 20
    assert sum(sizes(load(path, target="bought", max_bad=0.1))) == 180
    with pytest.raises(ValueError, match=r"`max_bad` is a share .* got 5"):
        load(path, target="bought", max_bad=5)


def test_sources_that_are_none(tmp_path):
    with pytest.raises(
        DataError, match="No file or folder is called 'digitz', and no data set. Did"
    ):
        load("digitz")
    with pytest.raises(DataError, match="There is no file or folder"):
        load(tmp_path / "none.csv")
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(DataError, match="ends in none of .csv .tsv"):
        load(tmp_path / "a.xlsx")
    with pytest.raises(TypeError, match="`source` must be a path, a name.*; got int"):
        load(5)
    with pytest.raises(DataError, match="A mapping names the splits of a source"):
        load({"x": [1], "y": [2]})


def test_too_few_rows_for_four_splits():
    with pytest.raises(DataError, match="4 rows leave the .* split empty. Add rows, or choose"):
        load((np.arange(4.0)[:, None] ** 2, np.arange(4) % 2))


def test_nothing_to_learn(table):
    with pytest.raises(DataError, match="`bought` has a single class"):
        load(table.assign(bought="yes"), target="bought")
    with pytest.raises(DataError, match="`amount` is constant"):
        load(table.assign(amount=2.5), target="amount")


def test_a_table_without_a_column_to_learn_from(table):
    with pytest.raises(DataError, match="No input column is left. Column `one` left out: constant"):
        load(table[["bought"]].assign(one=1.5), target="bought")


# Pictures


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


# Texts


def reviews(rng, n=120):
    words = {"good": ["fine", "great", "moving"], "bad": ["dull", "weak", "noisy"]}
    labels = rng.choice(["good", "bad"], n)
    return [
        (" ".join(rng.choice([*words[y], "the", "film", "is", "a"], 12)) + f" no {i}", str(y))
        for i, y in enumerate(labels)
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "folder", "rows", "columns"])
def test_texts_from_every_source(tmp_path, rng, kind):
    rows = reviews(rng)
    if kind == "csv":
        source = tmp_path / "t.csv"
        source.write_text("review,label\n" + "\n".join(f'"{x}",{y}' for x, y in rows))
        task = load(source, target="label", text="review")
    elif kind == "jsonl":
        source = tmp_path / "t.jsonl"
        source.write_text("\n".join(json.dumps({"text": x, "label": y}) for x, y in rows))
        task = load(source)
    elif kind == "folder":
        for i, (x, y) in enumerate(rows):
            (tmp_path / "d" / y).mkdir(parents=True, exist_ok=True)
            (tmp_path / "d" / y / f"{i:03}.txt").write_text(x)
        task = load(tmp_path / "d")
    elif kind == "rows":
        task = load(rows)
    else:
        source = tmp_path / "t.csv"
        halves = [(x.split(" ", 6), y) for x, y in rows]
        lines = (f"{' '.join(h[:6])},{h[6]},{y}" for h, y in halves)
        source.write_text("head,tail,label\n" + "\n".join(lines))
        task = load(source, target="label", text=["head", "tail"])
    assert task.schema.input.kind == "text" and task.train.x.dtype == torch.int64
    assert task.schema.target.classes == ("bad", "good") and sum(sizes(task)) == 120
    assert {"fine", "dull", "film", "no"} <= set(task.schema.input.vocabulary)
    assert task.train.x.shape[1] == task.schema.input.shape[0] == 14


def test_empty_texts_are_left_out(rng):
    rows = reviews(rng)
    rows[5] = ("  ", "good")
    assert load(rows).quarantine.rows == (("", 5, "the text is empty"),)


def test_a_leaked_sentence_is_reported(rng):
    rows = reviews(rng)
    task = load(rows)
    test_row, train_row = int(task.test.rows[0]), int(task.train.rows[0])
    rows[test_row] = (rows[train_row][0].upper() + "  ", rows[test_row][1])
    found = load(rows).duplicates.rows
    assert [row[:5] for row in found] == [("exact", "test", test_row, "train", train_row)]


# Schemas that are given


def test_a_schema_codes_other_rows_alike(table):
    task = load(table, target="bought", by="colour")
    other = load(table.iloc[:50], schema=task.schema, split={"test": 1.0})
    assert other.schema == task.schema and sizes(other) == [0, 0, 0, 50]
    place = {int(row): i for i, row in enumerate(task.train.rows)}
    test = other.test.open("test")
    shared = [i for i, row in enumerate(test.rows.tolist()) if row in place]
    wanted = task.train.x[[place[int(test.rows[i])] for i in shared]]
    assert torch.equal(test.x[shared].nan_to_num(), wanted.nan_to_num())


def test_a_schema_without_quantiles_is_fitted_still(table):
    # A shipped file's schema leaves them out. Equal numbers with gaps have no range either.
    table = table.assign(gappy=[None if i % 9 == 0 else 3.0 for i in range(len(table))])
    task = load(table, target="bought")
    columns = tuple(dataclasses.replace(c, quantiles=()) for c in task.schema.input.columns)
    short = dataclasses.replace(
        task.schema, input=dataclasses.replace(task.schema.input, columns=columns)
    )
    other = load(table.iloc[:50], schema=short, split={"test": 1.0})
    assert other.schema == short and sizes(other) == [0, 0, 0, 50]


def test_without_training_rows_a_schema_needs_its_statistics(tmp_path, table, image_folder):
    from netwright.data import schema_to_toml

    one_test_row = {"split": {"test": 1.0}}
    with pytest.raises(DataError, match="no training rows to fit the schema on"):
        load(table, target="bought", **one_test_row)
    for source, options in ((table, {"target": "bought"}), (image_folder, {})):
        schema = load(source, **options).schema
        (tmp_path / "s.toml").write_text(schema_to_toml(schema, statistics=False))
        with pytest.raises(DataError, match="no training rows to fit the schema on"):
            load(source, schema=tmp_path / "s.toml", **one_test_row)
    schema = load(table, target="amount").schema
    assert len(load(table.iloc[:1], schema=schema, **one_test_row).test) == 1


def test_a_schema_refuses_what_it_does_not_know(table):
    schema = load(table, target="bought").schema
    with pytest.raises(DataError, match="The column `amount` is missing. Did you mean `amounts`"):
        load(table.rename(columns={"amount": "amounts"}), schema=schema)
    with pytest.raises(DataError, match="`schema` is for table input, but digits holds image"):
        load("digits", schema=schema, target="target")
    table.loc[3, "bought"] = "perhaps"
    task = load(table, schema=schema)
    assert task.quarantine.rows[0][2] == "the class in `bought` is none of those known"


def test_a_schema_is_edited_in_toml(tmp_path, table):
    from netwright.data import schema_to_toml

    text = schema_to_toml(load(table, target="bought").schema, statistics=False)
    text = text.replace('name = "member"\nkind = "boolean"', 'name = "member"\nkind = "category"')
    (tmp_path / "schema.toml").write_text(text)
    schema = load(table, schema=tmp_path / "schema.toml").schema
    columns = {column.name: column for column in schema.input.columns}
    assert columns["member"].categories == ("false", "true")
    assert columns["amount"].quantiles  # fitted anew
    with pytest.raises(DataError, match="`schema` names no file"):
        load(table, schema=tmp_path / "none.toml")


def test_pictures_and_texts_take_given_schemas(image_folder, rng):
    task = load(image_folder)
    again = load(image_folder, schema=task.schema, seed=5)
    assert again.schema == task.schema
    rows = reviews(rng)
    task = load(rows)
    assert load(rows[:30], schema=task.schema, split={"test": 1.0}).schema == task.schema


# Larger than memory


@pytest.mark.parametrize("kind", ["image", "arrays", "table", "text"])
def test_streamed_tasks_equal_those_in_memory(tmp_path, image_folder, table, rng, kind):
    source, options = {
        "image": (image_folder, {}),
        "arrays": ((rng.integers(0, 9, (90, 5, 5)).astype(np.uint8), np.arange(90) % 3), {}),
        "table": (table, {"target": "bought", "by": "colour"}),
        "text": (reviews(rng), {}),
    }[kind]
    memory = load(source, **options)
    file = load(source, **options, memory_limit=100, cache=tmp_path / "cache", workers=0)
    assert isinstance(memory.train, TensorSplit) and isinstance(file.train, ArrowSplit)
    assert file.fingerprint == memory.fingerprint and file.schema == memory.schema
    assert file.duplicates == memory.duplicates
    for one, two in zip(parts(memory), parts(file), strict=True):
        generators = [torch.Generator().manual_seed(3) for _ in range(2)]
        batches = [
            list(split.batches(16, generator=generator))
            for split, generator in zip((one, two), generators, strict=True)
        ]
        for (x1, y1), (x2, y2) in zip(*batches, strict=True):
            assert torch.equal(x1.nan_to_num(), x2.nan_to_num()) and torch.equal(y1, y2)
        assert one.groups == two.groups and torch.equal(one.rows, two.rows)


def test_loading_twice_leaves_one_file(tmp_path, image_folder):
    for _ in range(2):
        task = load(image_folder, memory_limit=100, cache=tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    assert path.name == f"{task.fingerprint[:32]}.arrow"


def test_refused_data_leave_no_file(tmp_path, image_folder):
    for i in range(10):
        path = image_folder / "ant" / f"{i:02}.png"
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="10 of 60 rows"):
        load(image_folder, memory_limit=100, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_csv_beyond_memory(tmp_path, table):
    path = write_csv(tmp_path / "t.csv", table)
    whole = load(path, target="bought")
    mapped = load(path, target="bought", memory_limit=1000, cache=tmp_path / "cache")
    assert mapped.fingerprint == whole.fingerprint


# Sources in memory


def test_one_table_in_every_guise(tmp_path, table, rng):
    import pyarrow.parquet

    x, y = rng.normal(size=(100, 3)), rng.integers(0, 3, 100)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    pair = load((x, y))
    rows = load(list(zip(x, y.tolist(), strict=True)))
    tensors = load((torch.from_numpy(x), torch.from_numpy(y)))
    data = load(torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)))
    assert len({t.fingerprint for t in (pair, rows, tensors, data, load(tmp_path / "a.npz"))}) == 1
    plain = table.drop(columns="day")
    pyarrow.parquet.write_table(pa.Table.from_pandas(plain), tmp_path / "t.parquet")
    loaded = [
        load(plain, target="bought"),
        load(tmp_path / "t.parquet", target="bought"),
        load(write_csv(tmp_path / "t.csv", plain), target="bought"),
    ]
    assert len({task.fingerprint for task in loaded}) == 1


def test_arrow_tables(table):
    arrow = pa.Table.from_pandas(table)
    assert load(arrow, target="bought").fingerprint == load(table, target="bought").fingerprint
    nested = arrow.append_column("z", pa.array([{"a": i} for i in range(200)]))
    with pytest.raises(DataError, match="The target `z` holds struct"):
        load(nested, target="z")
    assert "Column `z` left out" in " ".join(load(nested, target="bought").notes)


def test_numbers_beyond_what_networks_receive(table):
    table.loc[3, "amount"] = 1e39
    task = load(table, target="bought")
    assert task.quarantine.rows == (("", 3, "column `amount` is not finite: 1e+39"),)


def test_splits_in_a_mapping(table):
    task = load({"train": table.iloc[:150], "test": table.iloc[150:]}, target="bought")
    assert task.test.rows.tolist() == list(range(150, 200)) and sizes(task) == [120, 15, 15, 50]


def test_hugging_face(rng):
    datasets = pytest.importorskip("datasets")
    texts, labels = zip(*reviews(rng), strict=True)
    names = ["bad", "good"]
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    rows = {"text": list(texts), "label": [names.index(y) for y in labels]}
    data = datasets.Dataset.from_dict(rows, features=features)
    both = datasets.DatasetDict({"train": data, "test": data.select(range(20))})
    task = load(both)
    assert task.schema.target.classes == ("bad", "good") and sizes(task) == [96, 12, 12, 20]
    assert len(task.duplicates.rows) >= 20  # the test rows are training rows, and it says so


def test_pictures_in_bytes(rng):
    pictures = [png_bytes(rng.integers(0, 255, (7, 7)).astype(np.uint8)) for _ in range(40)]
    task = load([(picture, i % 2) for i, picture in enumerate(pictures)])
    assert task.schema.input.shape == (1, 7, 7)


# Real data


def test_official_test_splits(shared_data):
    adult = load("adult")
    assert sizes(adult) == [26_049, 3256, 3256, 16_281]
    assert adult.test.rows.tolist() == list(range(32_561, 48_842))
    columns = {column.name: column for column in adult.schema.input.columns}
    assert columns["workclass"].has_missing and "?" not in columns["workclass"].categories
    mnist = load("mnist")
    assert sizes(mnist) == [50_000, 5000, 5000, 10_000]
    assert mnist.test.open("test").y[:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.duplicates.rows == ()


def test_rows_planted_in_mnist_are_found_and_nothing_else(shared_data, rng):
    with np.load(shared_data / "images" / "mnist.npz") as file:
        x, y, x_test, y_test = (file[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    x_test[:40] = x[1000:1040]
    noisy = x[2000:2040] + rng.normal(0, 3, (40, 28, 28))
    x_test[40:80] = np.clip(noisy, 0, 255).round()
    x, y = x[:20_000], y[:20_000]
    task = load({"train": (x, y), "test": (x_test, y_test)})
    found = [(row[0], row[2] - 20_000) for row in task.duplicates.rows if row[3] == "train"]
    assert sorted(i for kind, i in found if kind == "exact") == [
        i for i in range(40) if 1000 + i in set(task.train.rows.tolist())
    ]
    near = {i for kind, i in found if kind == "near"}
    wanted = {40 + i for i in range(40) if 2000 + i in set(task.train.rows.tolist())}
    assert near <= wanted and len(near) >= len(wanted) - 1


def test_the_twins_that_pneumoniamnist_is_known_for(shared_data):
    # The packed file's description counts 8 train images that occur in val or test too.
    rows = load("pneumoniamnist").duplicates.rows
    official = [row for row in rows if row[1] in ("validation", "test")]
    assert len(official) == 8 and {row[0] for row in official} == {"exact"}
