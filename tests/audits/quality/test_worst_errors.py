import base64
import dataclasses
import io

import pytest
import torch
from torch import nn

from netwright.audits.quality import worst_errors
from netwright.data import Column, Input, Schema, Target, TensorSplit
from netwright.measure import Subject

COLUMNS = (
    Column("age", "number"),
    Column("city", "category", categories=("Bern", "Lyon")),
    Column("member", "boolean"),
    Column("joined", "date"),
)


class Says(nn.Module):
    """Gives prepared logits, whatever the input."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, x):
        return self.logits[: len(x)]


def test_planted_mistake_comes_first_and_is_readable(classifier_subject):
    y = torch.arange(60) % 3
    logits = 2.0 * nn.functional.one_hot(y, 3)
    logits[7] = torch.tensor([0.0, 0.0, 9.0])  # a bee, surely taken for a cat
    logits[30] = torch.tensor([0.0, 0.1, 0.0])  # an ant, hardly taken for a bee
    found = worst_errors(classifier_subject(logits, y))
    (table,) = found.evidence
    assert [row[:3] for row in table.rows] == [(107, "bee", "cat"), (130, "ant", "bee")]
    assert table.rows[0][3] > 0.99 and "2 of 60 rows are wrong" in found.summary


def test_images_are_drawn_with_what_is_true_and_what_was_said(digits_subject):
    from PIL import Image

    found = worst_errors(digits_subject)
    picture, table = found.evidence
    data = base64.b64decode(picture.png)
    sheet = Image.open(io.BytesIO(data))
    assert len(data) < 90_000 and min(sheet.size) > 100
    outputs, y = digits_subject.outputs, digits_subject.split.y
    assert len(table.rows) == min(18, int((outputs.argmax(1) != y).sum()))
    assert all(true != said for _, true, said, _ in table.rows)
    probabilities = [row[3] for row in table.rows]
    assert probabilities == sorted(probabilities, reverse=True)
    assert "taken for" in picture.alt


def subject_of_rows(x, logits, y, inputs):
    target = Target("class", ("kind",), classes=("no", "yes"))
    split = TensorSplit(x, y, torch.arange(len(y)))
    return Subject(Schema(inputs, target), split, Says(logits).eval())


def test_cells_of_a_table_are_decoded():
    x = torch.tensor([[41.5, 2.0, 1.0, 19_723.25], [float("nan"), 0.0, 0.0, 0.0]])
    logits = torch.tensor([[0.0, 3.0], [0.0, 2.0]])
    subject = subject_of_rows(
        x, logits, torch.zeros(2, dtype=torch.long), Input("table", (4,), columns=COLUMNS)
    )
    (table,) = worst_errors(subject).evidence
    assert table.columns[4:] == ("age", "city", "member", "joined")
    assert table.rows[0][4:] == (41.5, "Lyon", "yes", "2024-01-01 06:00")
    assert table.rows[1][4:] == (None, None, "no", "1970-01-01")


def test_wide_tables_are_cut_and_say_so():
    columns = tuple(Column(f"c{i}", "number") for i in range(40))
    subject = subject_of_rows(
        torch.zeros(1, 40),
        torch.tensor([[0.0, 3.0]]),
        torch.zeros(1, dtype=torch.long),
        Input("table", (40,), columns=columns),
    )
    (table,) = worst_errors(subject).evidence
    assert len(table.columns) == 16 and "first 12 of 40 columns" in table.title


def test_texts_are_shown_as_words():
    tokens = torch.tensor([[2, 4, 1, 3, 0, 0]])
    inputs = Input("text", (6,), vocabulary=("the", "!", "film"))
    subject = subject_of_rows(
        tokens, torch.tensor([[0.0, 3.0]]), torch.zeros(1, dtype=torch.long), inputs
    )
    (table,) = worst_errors(subject).evidence
    assert table.rows[0][-1] == "the film [?] !"


def test_chains_are_shown_as_they_are():
    inputs = Input("text", (6,), vocabulary=("c", "C", "="), tokens="characters")
    subject = subject_of_rows(
        torch.tensor([[3, 4, 2, 1, 0, 0]]),
        torch.tensor([[0.0, 3.0]]),
        torch.zeros(1, dtype=torch.long),
        inputs,
    )
    (table,) = worst_errors(subject).evidence
    assert table.rows[0][-1] == "C=c\ufffd"


def test_sequences_are_drawn_as_lines(generator):
    x = torch.randn(3, 2, 50, generator=generator)
    x[1, :, 40:] = torch.nan
    subject = subject_of_rows(
        x,
        torch.tensor([[0.0, 3.0], [0.0, 2.0], [1.0, 0.0]]),
        torch.zeros(3, dtype=torch.long),
        Input("sequence", (2, 50), channels=("a", "b")),
    )
    picture, table = worst_errors(subject).evidence
    assert picture.kind == "picture" and picture.alt.startswith("2 sequences with what is true")
    assert table.columns[-1] == "steps" and [row[-1] for row in table.rows] == [50, 40]


def test_labels_show_both_sets(classifier_subject):
    y = torch.tensor([[1.0, 1, 0], [0, 0, 1]])
    logits = torch.tensor([[5.0, -5, -5], [-5.0, -5, 5]])
    (table,) = worst_errors(classifier_subject(logits, y)).evidence
    assert [row[1:3] for row in table.rows] == [("ant, bee", "ant")]


def test_largest_residual_comes_first(regression_subject):
    y = torch.zeros(40, 1)
    predicted = torch.linspace(0, 1, 40)[:, None].clone()
    predicted[5] = -9.0
    found = worst_errors(regression_subject(predicted, y), n_shown=3)
    (table,) = found.evidence
    assert table.rows[0][:4] == (105, "0", "-9", 9.0) and len(table.rows) == 3


def test_no_errors_is_said_plainly(classifier_subject):
    found = worst_errors(classifier_subject(torch.eye(3), torch.arange(3)))
    assert found.summary == "No errors on 3 rows." and not found.evidence


def test_count_must_be_positive(classifier_subject):
    with pytest.raises(ValueError, match="`n_shown` must be at least 1; got 0"):
        worst_errors(classifier_subject(torch.eye(3), torch.arange(3)), n_shown=0)


def test_class_names_of_any_kind_fit_the_picture(digits_subject):
    names = ("<script>alert(1)</script>", "Ω漢字", "a\nb", "w" * 300, *"456789")
    schema = digits_subject.schema
    target = dataclasses.replace(schema.target, classes=names)
    logits = torch.zeros(len(digits_subject.split), 10)  # always the first class
    subject = dataclasses.replace(
        digits_subject, schema=dataclasses.replace(schema, target=target), predict=Says(logits)
    )
    picture, table = worst_errors(subject).evidence
    assert picture.png and table.rows[0][2] == names[0]
