import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.learn import WeightAverage


def network():
    with _rng.seeded(0):
        return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def move(module, step):
    with torch.no_grad():
        for place, tensor in enumerate(module.state_dict().values()):
            if tensor.is_floating_point():
                tensor.add_(0.1 * step + 0.01 * place)
            else:
                tensor.add_(1)


@pytest.mark.oracle
def test_average_follows_its_recursion_buffers_included():
    module = network()
    average = WeightAverage(module, 0.5)
    expected = {k: v.double().clone() for k, v in module.state_dict().items()}
    for step in range(1, 9):
        move(module, step)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        for name, live in module.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * live.double()
    assert set(average.tensors) == set(expected) - {"1.num_batches_tracked"}
    for name, tensor in average.tensors.items():
        assert torch.allclose(tensor.double(), expected[name], atol=1e-6)  # float32 rounding


def test_averaged_weights_are_applied_and_taken_back_even_after_an_error():
    module = network()
    average = WeightAverage(module, 0.9)
    move(module, 1)
    live = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(KeyError), average.applied():
        applied = module.state_dict()
        assert all(torch.equal(applied[k], v) for k, v in average.tensors.items())
        raise KeyError
    assert all(torch.equal(module.state_dict()[k], v) for k, v in live.items())


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_outside_its_range_is_an_error(decay):
    with pytest.raises(ValueError, match=r"`average` must be a decay in \(0, 1\)"):
        WeightAverage(network(), decay)


def test_repr_tells_decay_and_updates():
    average = WeightAverage(network(), 0.9)
    average.update()
    assert repr(average) == "WeightAverage(decay=0.9, updates=1)"
