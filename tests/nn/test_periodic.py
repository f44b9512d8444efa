import numpy as np
import pytest
import torch

from netwright._rng import seeded
from netwright.data import Column
from netwright.nn import Periodic, Standardise

COLUMNS = (
    Column("age", "number", mean=40.0, std=10.0),
    Column("rooms", "number", mean=-1.0, std=0.5),
)
ROWS = torch.tensor([[40.0, -1.0], [57.0, 2.0], [12.5, -3.25]], dtype=torch.float64)


@pytest.mark.oracle
def test_encoding_equals_the_equations_in_numpy():
    with seeded(0):
        layer = Periodic(COLUMNS, width=3, n_frequencies=5, frequency_std=0.7, dtype=torch.float64)
    frequencies = layer.frequencies.detach().numpy()
    weight, bias = layer.mix.weight.detach().numpy(), layer.mix.bias.detach().numpy()
    found = layer(ROWS).detach().numpy()
    for row, numbers in enumerate(ROWS.numpy()):
        for place, (number, column) in enumerate(zip(numbers, COLUMNS, strict=True)):
            v = 2 * np.pi * frequencies[place] * (number - column.mean) / column.std
            waves = np.concatenate([np.sin(v), np.cos(v)])  # equation 5
            expected = np.maximum(waves @ weight[place] + bias[place], 0)
            # angles up to 100, whose last digit is 1e-14
            np.testing.assert_allclose(
                found[row, 3 * place : 3 * place + 3], expected, rtol=0, atol=1e-12
            )
    assert layer.out_features == found.shape[1] == 6


def test_the_mean_is_encoded_as_zero_sines_and_full_cosines():
    with seeded(0):
        encoded = Periodic(COLUMNS, n_frequencies=5, dtype=torch.float64).encode(ROWS[:1])
    assert torch.equal(encoded[0], torch.cat([torch.zeros(2, 5), torch.ones(2, 5)], 1).double())


def test_first_frequencies_have_the_stated_deviation():
    with seeded(0):
        layer = Periodic(COLUMNS, n_frequencies=2000, frequency_std=0.3)
    # 4 standard errors of 4000 draws: 0.3 * 4 / sqrt(8000)
    assert layer.frequencies.std().item() == pytest.approx(0.3, abs=0.014)


@pytest.mark.oracle
def test_standardise_by_hand():
    found = Standardise(COLUMNS, dtype=torch.float64)(ROWS)
    assert found.tolist() == [[0.0, 0.0], [1.7, 6.0], [-2.75, -4.5]]


def test_a_column_without_deviation_is_left_in_its_units():
    constant = Column("one", "number", mean=1.0, std=0.0)
    assert Standardise([constant])(torch.tensor([[1.0], [3.0]])).tolist() == [[0.0], [2.0]]
