import datetime

import numpy as np
import pytest
import torch

from netwright.artefact._feed import prepare_rows, raw_feed
from netwright.data import Column, Input, Schema, Target
from tests.artefact.shipped_networks import DIGITS, PEOPLE, REVIEWS, WORDS


def test_every_grey_comes_back(generator):
    pixels = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=generator)
    assert np.array_equal(raw_feed(pixels.float() / 255, DIGITS)["image"], pixels.numpy())
    assert np.array_equal(raw_feed(pixels, DIGITS)["image"], pixels.numpy())


def test_pixels_that_no_image_has_are_refused():
    with pytest.raises(ValueError, match="no 255th"):
        raw_feed(torch.full((1, 1, 8, 8), 0.5), DIGITS)


def test_codes_become_words():
    x = torch.tensor([[40.5, 2, 1, 100], [float("nan"), 0, float("nan"), 0]])
    feed = raw_feed(x, PEOPLE)
    assert feed["town"].tolist() == ["Rome", ""]
    np.testing.assert_array_equal(feed["age"], np.array([40.5, np.nan], np.float32))


@pytest.mark.parametrize("code", [4.0, -1.0, 1.5])
def test_codes_that_do_not_exist_are_refused(code):
    with pytest.raises(ValueError, match="column `town` outside 0 to 3"):
        raw_feed(torch.tensor([[1.0, code, 0, 0]]), PEOPLE)


def test_tokens_become_text_that_a_blank_separates():
    x = torch.tensor([[2, 3, 1, 6, 0, 0], [0] * 6, [5] * 6])
    assert raw_feed(x, REVIEWS)["text"].tolist() == ["the good \ue000 !", "", "é é é é é é"]


@pytest.mark.parametrize("row", [[2, 0, 3, 0, 0, 0], [99, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0]])
def test_tokens_that_no_text_gives_are_refused(row):
    with pytest.raises(ValueError, match=f"token numbers below {len(WORDS) + 2}"):
        raw_feed(torch.tensor([row]), REVIEWS)


def test_unknown_token_is_written_as_one_that_is_not_in_the_vocabulary():
    schema = Schema(Input("text", (2,), vocabulary=("\ue000", "\ue001")), REVIEWS.target)
    assert raw_feed(torch.tensor([[1, 2]]), schema)["text"].tolist() == ["\ue002 \ue000"]


def test_characters_become_a_chain_whose_case_and_blanks_stay():
    inputs = Input("text", (4,), vocabulary=("c", "C", " "), tokens="characters")
    schema = Schema(inputs, REVIEWS.target)
    assert raw_feed(torch.tensor([[3, 4, 2, 1], [0] * 4]), schema)["text"].tolist() == [
        "C c\ue000",
        "",
    ]
    assert prepare_rows({"text": [" Cc ", None]}, schema)["text"].tolist() == [" Cc ", ""]


def test_columns_of_data_become_what_the_graph_takes():
    feed = prepare_rows(
        {
            "age": [40, None],
            "town": [" Rome ", None],
            "member": [True, False],
            "since": np.array(["1970-01-03T12:00", "NaT"], "datetime64[s]"),
            "unused": [1, 2],
        },
        PEOPLE,
    )
    assert {k: v.dtype.kind for k, v in feed.items()} == {
        "age": "f",
        "town": "O",
        "member": "f",
        "since": "f",
    }
    assert feed["town"].tolist() == ["Rome", ""]
    np.testing.assert_array_equal(feed["age"], [40, np.nan])
    np.testing.assert_array_equal(feed["since"], [2.5, np.nan])
    assert feed["member"].tolist() == [1, 0]


def test_dates_may_be_python_dates():
    schema = Schema(Input("table", (1,), columns=(Column("d", "date"),)), Target("value", ("y",)))
    feed = prepare_rows({"d": np.array([datetime.date(1970, 1, 2)], "datetime64[D]")}, schema)
    assert feed["d"].tolist() == [1.0]


def test_missing_column_is_named():
    with pytest.raises(ValueError, match="`since` is missing"):
        prepare_rows({"age": [1], "town": [""], "member": [0]}, PEOPLE)


def test_columns_must_be_equally_long():
    with pytest.raises(ValueError, match="equally long; got {'age': 2, 'town': 1"):
        prepare_rows({"age": [1, 2], "town": [""], "member": [0], "since": [0]}, PEOPLE)


def test_images_must_be_pixels():
    with pytest.raises(ValueError, match=r"uint8 of shape \(batch, 1, 8, 8\); got float32"):
        prepare_rows({"image": np.zeros((1, 1, 8, 8), np.float32)}, DIGITS)
