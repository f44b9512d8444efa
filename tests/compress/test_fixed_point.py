import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.compress import fixed_point, prune_global, round_weights, weights


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8, 13])
def test_no_number_moves_by_more_than_half_a_step(bits, symmetric, generator):
    x = torch.randn(40, 30, generator=generator)
    found = fixed_point(x, bits=bits, axis=0, symmetric=symmetric)
    assert found.step.shape == (40, 1)
    # Asymmetric: rounding the zero code shifts the range by up to half a step more.
    reach = 0.5 if symmetric else 1.0
    assert ((found.values - x).abs() <= (reach + 1e-3) * found.step).all()
    codes = found.codes
    assert (codes.min(), codes.max()) <= (torch.tensor(0), torch.tensor(2**bits - 1))
    assert codes.max() - codes.min() <= 2**bits - (2 if symmetric else 1)


def test_zero_is_exact(generator):
    x = torch.randn(50, generator=generator) + 1.5
    x[::5] = 0
    for symmetric in (True, False):
        assert (fixed_point(x, bits=3, symmetric=symmetric).values[::5] == 0).all()


@pytest.mark.oracle
def test_values_are_torchs_own(generator):
    x = torch.randn(6, 5, 3, generator=generator)
    ours = fixed_point(x, axis=1)
    steps, zeros = ours.step.reshape(-1), torch.zeros(5, dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(x, steps, zeros, 1, -127, 127)
    assert torch.equal(ours.values, theirs)
    uneven = fixed_point(x, bits=6, symmetric=False)
    theirs = torch.fake_quantize_per_tensor_affine(
        x, uneven.step.reshape(1), uneven.zero.reshape(1), 0, 63
    )
    assert torch.equal(uneven.values, theirs)


def test_a_row_of_zeros_stays_zero():
    assert fixed_point(torch.zeros(3, 4), axis=0).values.abs().sum() == 0


def test_more_bits_bring_less_error(generator):
    x = torch.randn(1000, generator=generator)
    errors = [(fixed_point(x, bits=b).values - x).square().mean() for b in range(2, 10)]
    assert errors == sorted(errors, reverse=True)


def test_a_networks_weights_are_rounded_and_its_zeros_kept():
    with _rng.seeded(0):
        network = nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 4))
    network[0].weight.data[:, ::2] = 0
    errors = round_weights(network, {"0.weight": 3})
    assert list(errors) == ["0.weight"] and errors["0.weight"] > 0
    assert all(len(row.unique()) <= 7 for row in weights(network)["0.weight"])
    assert (network[0].weight[:, ::2] == 0).all()


def test_what_cannot_be_rounded_is_refused():
    with pytest.raises(ValueError, match="`bits` must lie in 2..16; got 1"):
        fixed_point(torch.ones(2), bits=1)
    with pytest.raises(ValueError, match="not finite"):
        fixed_point(torch.tensor([1.0, float("inf")]))
    with _rng.seeded(0):
        network = nn.Linear(4, 4)
    prune_global(network, keep=0.5)
    with pytest.raises(ValueError, match="`weight` is held by a constraint; `settle`"):
        round_weights(network)
