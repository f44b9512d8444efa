import pytest
import torch

from netwright.nn import Denormalise, Normalise


@pytest.mark.oracle
def test_each_channel_is_normalised_by_its_own_statistics():
    images = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.25]]]])
    found = Normalise((0.5, 0.25), (0.25, 0.5))(images)
    assert found.tolist() == [[[[-2.0, 2.0]], [[0.5, 0.0]]]]


def test_result_lies_in_channels_last_order(generator):
    images = torch.rand(2, 3, 4, 5, generator=generator)
    found = Normalise((0.0,) * 3, (1.0,) * 3)(images)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, images)


@pytest.mark.oracle
def test_values_return_to_their_units():
    found = Denormalise((100.0, -1.0), (10.0, 0.5))(torch.tensor([[0.0, 0.0], [-2.0, 4.0]]))
    assert found.tolist() == [[100.0, -1.0], [80.0, 1.0]]


@pytest.mark.parametrize("layer", [Normalise, Denormalise])
def test_statistics_are_saved_but_not_trained(layer):
    made = layer((1.0,), (2.0,), dtype=torch.float64)
    assert not list(made.parameters())
    assert set(made.state_dict()) == {"mean", "std"}
    assert made.std.dtype == torch.float64


@pytest.mark.parametrize("layer", [Normalise, Denormalise])
def test_statistics_must_fit(layer):
    with pytest.raises(ValueError, match="one number each per channel or value; got 2 and 1"):
        layer((0.0, 0.0), (1.0,))
    for std in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="`std` must be positive"):
            layer((0.0,), (std,))


def test_repr_shows_the_size():
    assert repr(Normalise((0.0,) * 3, (1.0,) * 3)) == "Normalise(channels=3)"
    assert repr(Denormalise((0.0,), (1.0,))) == "Denormalise(values=1)"
