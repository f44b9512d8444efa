import pytest
import torch

from netwright.nn import flip_within, keep_within, mean_within, within

NAN = float("nan")
X = torch.tensor(
    [
        [[1.0, NAN, 3.0, NAN, NAN], [NAN, NAN, 2.0, 5.0, NAN]],  # ends with the second channel
        [[NAN, NAN, NAN, NAN, 1.0], [NAN] * 5],
        [[NAN] * 5, [NAN] * 5],
        [[1.0] * 5, [2.0] * 5],
    ]
)
LENGTHS = [4, 5, 0, 5]


def test_a_sequence_ends_with_its_last_present_value():
    expected = [[1.0] * n + [0.0] * (5 - n) for n in LENGTHS]
    assert within(X)[:, 0].tolist() == expected
    assert within(X.double()).dtype == torch.float64


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 3, 2, 5)])
def test_means_are_those_of_a_loop(shape, generator):
    states = torch.randn(shape, generator=generator)
    found = mean_within(states, within(X))
    for row, n in enumerate(LENGTHS):
        expected = states[row, ..., :n].mean(-1) if n else torch.zeros(shape[1:-1])
        # float32 sums of five numbers of size 1, in another order
        torch.testing.assert_close(found[row], expected, atol=1e-6, rtol=0)


@pytest.mark.oracle
def test_each_sequence_is_turned_around_in_its_own_length(generator):
    states = torch.randn(4, 5, 3, generator=generator)
    mask = within(X)
    found = flip_within(states, mask)
    for row, n in enumerate(LENGTHS):
        assert torch.equal(found[row, :n], states[row, :n].flip(0))
    assert torch.equal(flip_within(found, mask), states)


@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 3, 2, 5)])
def test_what_lies_behind_the_end_is_zero(shape, generator):
    states = torch.randn(shape, generator=generator)
    found = keep_within(states, within(X))
    for row, n in enumerate(LENGTHS):
        assert torch.equal(found[row, ..., :n], states[row, ..., :n])
        assert not found[row, ..., n:].any()
