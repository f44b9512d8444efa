import numpy as np
import pytest
import torch

from netwright.data import DataError, load
from tests.data.conftest import all_rows, parts, sizes, write_csv

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
