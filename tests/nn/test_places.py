import pytest
import torch

from netwright.nn._places import spread_places


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_few_places_are_all_returned(n):
    assert spread_places(n, 5).tolist() == list(range(n))


def test_many_places_lie_at_equal_distances_from_end_to_end():
    assert spread_places(10, 1).tolist() == [0]
    for n in (6, 1000, 2**26 + 1):
        found = spread_places(n, 5)
        assert (found[0], found[-1]) == (0, n - 1)
        steps = found.diff().double()
        torch.testing.assert_close(steps, torch.full((4,), (n - 1) / 4).double(), atol=1, rtol=0)
