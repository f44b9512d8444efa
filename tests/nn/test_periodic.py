import numpy as np
import pytest
import torch

from netwright._rng import seeded
from netwright.data import Column
from netwright.nn import Periodic, Standardise

COLUMNS = (
    Column("a", "number", mean=10.0, std=4.0),
    Column("b", "date", mean=0.0, std=1.0),
)


@pytest.mark.oracle
def test_plr_against_numpy(generator):
    with seeded(0):
        layer = Periodic(COLUMNS, width=3, n_frequencies=5, frequency_std=0.7, dtype=torch.float64)
    x = 5 * torch.randn(6, 2, generator=generator, dtype=torch.float64)
    z = (x.numpy() - [10.0, 0.0]) / [4.0, 1.0]
    angle = 2 * np.pi * z[:, :, None] * layer.frequencies.detach().numpy()
    waves = np.concatenate([np.sin(angle), np.cos(angle)], axis=2)
    weight, bias = layer.mix.weight.detach().numpy(), layer.mix.bias.detach().numpy()
    mapped = np.stack([waves[:, c] @ weight[c] + bias[c] for c in range(2)], axis=1)
    expected = np.maximum(mapped, 0).reshape(6, 6)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_first_frequencies_have_the_spread_that_was_asked_for():
    with seeded(0):
        layer = Periodic(COLUMNS, n_frequencies=2000, frequency_std=0.3)
    # 4 standard errors of a standard deviation over 4000 draws: 0.3 * 4 / sqrt(8000)
    assert layer.frequencies.std().item() == pytest.approx(0.3, abs=0.0135)


def test_standardise_by_hand():
    found = Standardise(COLUMNS)(torch.tensor([[14.0, -2.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, -2.0]]))


def test_a_column_without_spread_is_only_shifted():
    found = Standardise([Column("c", "number", mean=2.0, std=0.0)])(torch.tensor([[5.0]]))
    assert found.item() == 3.0
