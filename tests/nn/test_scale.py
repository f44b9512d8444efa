import pytest
import torch

from netwright.nn import Denormalise, Normalise


def test_normalise_by_hand():
    images = torch.tensor([0.2, 0.5]).view(1, 2, 1, 1)
    found = Normalise([0.1, 0.5], [0.2, 0.25])(images)
    torch.testing.assert_close(found.flatten(), torch.tensor([0.5, 0.0]))


def test_normalise_hands_on_channels_last(generator):
    images = torch.rand(2, 3, 5, 4, generator=generator)
    found = Normalise([0.5] * 3, [0.2] * 3)(images)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_denormalise_undoes_standardising(generator):
    values = 300 + 40 * torch.randn(50, 2, generator=generator)
    mean, std = values.mean(0), values.std(0)
    back = Denormalise(mean.tolist(), std.tolist())((values - mean) / std)
    torch.testing.assert_close(back, values)


@pytest.mark.parametrize("layer", [Normalise, Denormalise])
def test_error_gives_argument_and_value(layer):
    with pytest.raises(ValueError, match=r"`std` must be positive; got \(1.0, 0.0\)"):
        layer((0.0, 0.0), (1.0, 0.0))
    with pytest.raises(ValueError, match="`mean` and `std` must have one number each.*got 1 and 2"):
        layer((0.0,), (1.0, 2.0))


@pytest.mark.parametrize("layer", [Normalise, Denormalise])
def test_statistics_are_saved_and_keep_their_type(layer):
    made = layer((0.5,), (2.0,), dtype=torch.float64)
    assert {n: t.dtype for n, t in made.state_dict().items()} == {
        "mean": torch.float64,
        "std": torch.float64,
    }
