import numpy as np
import pytest
import torch

from netwright.audits._line_sheet import line_sheet
from tests.audits.test_picture import opened

SIZE = {"title": "t", "alt": "a"}


def inked(sequence):
    """Where the first chart of a sheet is drawn on, and in what colours."""
    _, sheet = opened(line_sheet(sequence[None], [()], **SIZE))
    pixels = np.asarray(sheet.convert("RGB")).astype(int)[10:122, 10:200]
    return np.ptp(pixels, axis=2) > 40, pixels


def test_a_rising_line_rises():
    drawn, _ = inked(torch.linspace(-3, 5, 40)[None])
    rows, columns = drawn.nonzero()
    assert np.corrcoef(rows, columns)[0, 1] < -0.99
    assert columns.max() - columns.min() > 175 and rows.max() - rows.min() > 95


def test_missing_values_break_the_line_and_the_end_is_the_end():
    x = torch.zeros(1, 100)
    x[0, 30:60], x[0, 80:] = torch.nan, torch.nan
    drawn, _ = inked(x)
    columns = drawn.any(axis=0)
    assert columns[5:60].all() and not columns[75:136].any() and columns[150:180].all()


def test_each_channel_has_a_band_and_a_colour():
    x = torch.stack([torch.sin(torch.arange(60.0)), 1000 * torch.cos(torch.arange(60.0))])
    drawn, pixels = inked(x)
    blue, red = (pixels[..., 2] > pixels[..., 0] + 40), (pixels[..., 0] > pixels[..., 2] + 40)
    assert blue.nonzero()[0].max() < red.nonzero()[0].min()
    assert drawn[:50].any() and drawn[-50:].any()


def test_a_lone_value_and_a_sequence_without_any_are_drawn():
    lone = torch.full((1, 20), torch.nan)
    assert not inked(lone)[0].any()
    lone[0, 10] = 1.0
    assert 3 < inked(lone)[0].sum() < 80


def test_sheets_need_a_caption_for_each():
    with pytest.raises(ValueError, match="got 1 for 2"):
        line_sheet(torch.zeros(2, 1, 4), [("a",)], **SIZE)
    with pytest.raises(ValueError, match="got 0 for 0"):
        line_sheet(torch.zeros(0, 1, 4), [], **SIZE)
