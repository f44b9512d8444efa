import time

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.measure import MachineRate, machine_rate, macs, theoretical_seconds, training_step


def test_the_rate_is_multiplications_over_time():
    found = machine_rate(size=128, seconds=0.02)
    assert found.n >= 1
    assert found.threads == torch.get_num_threads()
    # Between a slow phone's core and the largest server.
    assert 1e7 < found.macs_per_second < 1e14


def test_a_rate_needs_a_size():
    with pytest.raises(ValueError, match="`size` must be at least 1; got 0"):
        machine_rate(size=0)


def test_training_costs_three_passes_a_sample():
    with seeded(0):
        costs = macs(nn.Linear(10, 20), torch.zeros(4, 10))
    rate = MachineRate(macs_per_second=1e6, size=1, n=1, threads=1)
    assert theoretical_seconds(costs, 1000, rate) == pytest.approx(3 * 200 * 1000 / 1e6)


@pytest.mark.oracle
def test_three_passes_is_what_torchs_counter_sees(generator):
    from torch.utils.flop_counter import FlopCounterMode

    with seeded(0):
        network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(288, 4))
    x = torch.randn(2, 4, 8, 8, generator=generator, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        network(x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * macs(network, x.detach()).macs


def test_a_step_is_measured_and_the_network_left_alone(generator):
    with seeded(0):
        network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 2)).eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x, y = torch.randn(16, 4, generator=generator), torch.arange(16) % 2
    start = time.perf_counter()
    found = training_step(network, x, y, loss=nn.functional.cross_entropy, seconds=0.05)
    assert 0 < found.low <= found.value <= found.high < time.perf_counter() - start
    assert (found.unit, found.method) == ("s", "order statistics")
    assert not network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
