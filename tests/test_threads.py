import pytest
import torch

from netwright._threads import threads_worth


@pytest.mark.parametrize(("macs", "expected"), [(1e5, 1), (1e11, None)])
def test_small_calls_use_one_thread_and_the_setting_returns(macs, expected):
    before = torch.get_num_threads()
    with threads_worth(macs):
        assert torch.get_num_threads() == (expected or before)
    assert torch.get_num_threads() == before


def test_the_setting_returns_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), threads_worth(1.0):
        raise KeyError
    assert torch.get_num_threads() == before
