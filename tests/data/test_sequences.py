import numpy as np
import pytest
import torch

from netwright.data import DataError, Input, encode_sequences
from netwright.data._sequences import (
    LENGTH,
    channel_names,
    coded,
    common_length,
    commonest,
    decode,
    header,
    ragged,
    statistics,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("item", "channels", "steps"),
    [
        ([1, 2, 3], 1, 3),
        (np.array([[1, 2, 3, 4]], np.int16), 1, 4),
        (np.array([[1.0, NAN, NAN], [NAN, 2.0, NAN]]), 2, 2),  # ends with the last value
        (np.array([[NAN, NAN, 1.0]]), 1, 3),  # what is missing at the beginning is missing
        ([1.5, None, 2.5, None], 1, 3),
        (torch.ones(3, 7), 3, 7),
        (np.array([True, False]), 1, 2),
    ],
)
def test_what_a_sequence_is(item, channels, steps):
    found = header(item)
    assert (found.channels, found.steps, found.trouble) == (channels, steps, "")


@pytest.mark.parametrize(
    ("item", "trouble"),
    [
        (None, "is missing"),
        ([], "has no steps"),
        (np.zeros((2, 0)), "has no steps"),
        ([NAN, NAN], "has no value"),
        ([None, None], "has no value"),
        ([1.0, np.inf], "not finite"),
        ([1.0, 1e300], "not finite"),  # in float32
        (["a", "b"], "instead of numbers"),
        ([[1, 2], [3]], "channels of different lengths"),
        (3.0, r"shape \(\) is no sequence"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\) is no sequence"),
        (np.array([1j]), "instead of numbers"),
    ],
)
def test_what_cannot_be_used(item, trouble):
    with pytest.raises(DataError, match=f"Sequence 1: .*{trouble}"):
        encode_sequences([[1.0], item], Input("sequence", (1, 4)))


def test_new_sequences_are_cut_or_padded():
    x = encode_sequences([[[1, 2, 3]], [7], torch.tensor([5.0, NAN])], Input("sequence", (1, 2)))
    expected = np.float32([[[1, 2]], [[7, NAN]], [[5, NAN]]])
    np.testing.assert_array_equal(x.numpy(), expected)
    assert x.dtype == torch.float32
    with pytest.raises(DataError, match="Sequence 0: 2 channels; the schema has 1"):
        encode_sequences([np.zeros((2, 3))], Input("sequence", (1, 2)))


def test_length_is_what_99_of_100_rows_fit_in_up_to_a_limit():
    assert common_length(np.array([3, 5, 4])) == 5
    assert common_length(np.array([10] * 199 + [5000])) == 10
    assert common_length(np.array([LENGTH + 1])) == LENGTH


def test_most_sequences_say_how_many_channels_there_are():
    assert commonest([header(np.zeros((c, 2))) for c in (1, 2, 2)]) == (2, 0)
    assert channel_names(2) == ("x0", "x1")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 2], [3]], True),
        ([[1, 2], [3, 4]], False),
        ([np.zeros((2, 3)), np.zeros((2, 4))], True),
        ([[1], None, [1, 2]], True),
        (["ab", "c"], False),
        ([[[1, 2]], [[3]]], True),
        ([[[1, 2], [3, 4]], [[3, 4], [5, 6]]], False),
        ([[], [1]], True),
        ([[1, "a"], [2]], False),
        ([{"a": 1}, {"b": 2}], False),
        ([1, 2], False),
        (np.zeros((2, 3)), False),
        (np.array([[1, 2], [3]], dtype=object), True),
    ],
)
def test_rows_of_several_lengths(rows, expected):
    assert bool(ragged(rows)) is expected


def test_blocks_leave_out_what_cannot_be_used(monkeypatch):
    monkeypatch.setattr("netwright.data._sequences._BLOCK", 2 * 4 * 3)
    items = [[1], None, [2, 3, 4, 5]]
    blocks = list(coded(items, np.array([True, False, True]), (1, 3)))
    assert [len(block) for block in blocks] == [2, 1]
    whole = np.concatenate(blocks)[:, 0]
    np.testing.assert_array_equal(whole, np.float32([[1, NAN, NAN], [NAN] * 3, [2, 3, 4]]))
    np.testing.assert_array_equal(decode([1], (1, 3))[0], whole[0])


def test_statistics_are_those_of_present_values(rng):
    x = rng.normal(1e6, 3, (40, 2, 5)).astype(np.float32)
    x[rng.random(x.shape) < 0.3] = NAN
    x[:, 1, 2:] = NAN
    mean = statistics(iter([x[:7], x[7:]]), None)
    std = np.sqrt(statistics(iter([x]), mean))
    np.testing.assert_allclose(mean, np.nanmean(x.astype(np.float64), axis=(0, 2)), rtol=1e-12)
    # Relative 1e-9: squares of 3 around a mean of 1e6 are summed after the mean is taken off.
    np.testing.assert_allclose(std, np.nanstd(x.astype(np.float64), axis=(0, 2)), rtol=1e-9)
    assert np.isnan(statistics(iter([np.full((2, 1, 3), NAN)]), None)).all()
