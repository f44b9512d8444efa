import numpy as np

from netwright.data._outline import outline


def test_short_channels_are_whole():
    assert outline(np.array([1.0, np.nan, 3.0]), 3) == ([0, 1, 2], [1.0, None, 3.0])
    assert outline(np.array([]), 4) == ([], [])


def test_a_peak_in_a_long_channel_is_kept():
    values = np.zeros(10_000)
    values[1234], values[8765] = 5, -7
    places, found = outline(values, 100)
    assert len(places) <= 100 and places == sorted(places)
    assert (places[found.index(5)], places[found.index(-7)]) == (1234, 8765)


def test_a_part_without_values_is_a_gap():
    values = np.arange(1000.0)
    values[200:500] = np.nan
    places, found = outline(values, 100)
    gaps = [place for place, value in zip(places, found, strict=True) if value is None]
    assert gaps and min(gaps) >= 200 and max(gaps) < 500
    assert len(gaps) == 15  # of 50 parts
