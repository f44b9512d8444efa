import dataclasses

import torch

from netwright.audits.quality import data_summary
from netwright.data import Column, Input, Schema, SealedSplit, Target, Task, TensorSplit, load
from netwright.finding import Table


def test_sealed_test_split_stays_sealed(digits):
    looks = list(digits.test.looks)
    found = data_summary(digits)
    assert digits.test.looks == looks
    sizes = found.evidence[0]
    assert sum(row[1] for row in sizes.rows) == 1797 and "10 classes" in found.summary


def test_images_show_samples_of_every_class(digits):
    found = data_summary(digits)
    picture = next(e for e in found.evidence if e.kind == "picture")
    assert len(picture.png) < 120_000
    balance = next(e for e in found.evidence if e.kind == "bars")
    assert balance.series[0].name == "train"
    assert abs(sum(balance.series[0].y) - 1) < 1e-9


def test_planted_imbalance_duplicates_and_bad_rows_are_told(digits):
    task = dataclasses.replace(
        digits,
        duplicates=Table("Duplicates across splits", ("a", "b"), ((1, 2),)),
        quarantine=Table("Rows left out", ("file", "row", "reason"), (("x.csv", 3, "short"),) * 60),
        notes=("The clock is in UTC.",),
    )
    found = data_summary(task)
    assert "60 left out" in found.summary and "1 duplicates" in found.summary
    assert "The clock is in UTC" in found.summary
    left_out = found.evidence[-1]
    assert len(left_out.rows) == 50 and "first 50 of 60" in left_out.title


def test_values_and_columns_are_described():
    found = data_summary(load("diabetes", seed=0))
    titles = [e.title for e in found.evidence]
    assert titles == ["Splits", "Targets", "Columns", "Training samples"]


def test_every_kind_of_column_is_readable():
    columns = (
        Column("n", "number", minimum=1, maximum=2, mean=1.5),
        Column("c", "category", categories=tuple("abcdefgh"), has_missing=True),
        Column("b", "boolean", mean=0.25),
        Column("d", "date", minimum=0, maximum=31),
    )
    target = Target("labels", ("x", "y"), classes=("x", "y"))
    rows = torch.tensor([[1.0, 2.0, 1.0, 31.0]] * 4)
    split = TensorSplit(rows, torch.tensor([[1.0, 0.0]] * 4), torch.arange(4))
    empty = Table("none", ("a",), ())
    schema = Schema(Input("table", (4,), columns=columns), target)
    task = Task("t", schema, split, split, split, SealedSplit(split), "0", empty, empty)
    found = data_summary(task)
    described = next(e for e in found.evidence if e.title == "Columns")
    assert [row[2] for row in described.rows] == [
        "1 to 2, mean 1.5",
        "8: a, b, c, d, e, …",
        "yes in 25%",
        "1970-01-01 to 1970-02-01",
    ]
    samples = found.evidence[-1]
    assert samples.rows[0][1:] == ("x", 1.0, "b", "yes", "1970-02-01")


def test_same_task_same_summary(digits):
    first, second = (dataclasses.replace(data_summary(digits), seconds=0) for _ in range(2))
    assert first == second


def test_sequences_are_told_and_drawn(generator):
    x = torch.randn(12, 1, 30, generator=generator)
    y = torch.arange(12) % 2
    split = TensorSplit(x, y, torch.arange(12))
    schema = Schema(
        Input("sequence", (1, 30), channels=("x0",), mean=(0.0,), std=(1.0,)),
        Target("class", ("kind",), classes=("no", "yes")),
    )
    nothing = Table("nothing", (), ())
    sealed = SealedSplit(split)
    task = Task("beats", schema, split, split, split, sealed, "f", nothing, nothing)
    found = data_summary(task)
    assert found.summary.startswith("48 sequences; 2 classes")
    assert any(e.kind == "picture" and "12 training sequences" in e.alt for e in found.evidence)
