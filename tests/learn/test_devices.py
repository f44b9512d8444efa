import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data._task import TensorSplit
from netwright.learn._devices import (
    deterministic,
    make_fabric,
    resident,
    strides_over_a_pixel,
)
from tests.learn import fit_on_two

IMAGE, ROW = torch.zeros(1, 1, 4, 4), torch.zeros(1, 4)


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", ""])
def test_unknown_device_is_an_error(device):
    with pytest.raises(ValueError, match="`device` must be `auto`, `cpu`, `cuda` or `cuda:N`"):
        make_fabric(device)


def test_gpu_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="`device` is 'cuda:99', but torch sees .* use `cpu`"):
        make_fabric("cuda:99")


@pytest.mark.parametrize("bf16", [True, False])
def test_bfloat16_is_for_images_where_the_processor_has_it(monkeypatch, bf16, capfd):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": bf16})
    expected = torch.bfloat16 if bf16 else torch.float32
    for example, kind in ((IMAGE, expected), (ROW, torch.float32), (None, torch.float32)):
        with make_fabric("cpu", example=example).autocast():
            assert (ROW @ ROW.T).dtype == kind
    assert capfd.readouterr() == ("", "")


def halving(n_times):
    with seeded(0):
        strides = [2] * n_times or [1]
        layers = [
            nn.Conv2d(8 if k else 1, 8, 3, stride=stride, padding=1)
            for k, stride in enumerate(strides)
        ]
        return nn.Sequential(*layers, nn.BatchNorm2d(8))


@pytest.mark.parametrize(("n_times", "found"), [(0, False), (2, False), (3, True)])
def test_strides_over_a_single_pixel_are_found(n_times, found):
    network = halving(n_times)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert strides_over_a_pixel(network.train(), IMAGE) is found
    assert network.training and not any(m._forward_pre_hooks for m in network.modules())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


@pytest.mark.oracle
def test_what_is_trained_with_strides_over_a_pixel_has_true_gradients(generator):
    network = halving(3)
    example = torch.randn(32, 1, 4, 4, generator=generator)
    precision = None if strides_over_a_pixel(network, example) else example
    fabric = make_fabric("cpu", example=precision)
    network = network.to(memory_format=torch.channels_last)
    twin = halving(3).double()
    for _ in range(8):
        del_me = [torch.full((200_000,), 1e28) for _ in range(8)]  # what a bad kernel would read
        del del_me
        network.zero_grad()
        twin.zero_grad()
        with fabric.autocast():
            loss = network(example.to(memory_format=torch.channels_last)).square().mean()
        loss.backward()
        twin(example.double()).square().mean().backward()
        for ours, true in zip(network.parameters(), twin.parameters(), strict=True):
            # float32 against float64; gradients of a normalised mean square are sums that vanish.
            torch.testing.assert_close(ours.grad.double(), true.grad, atol=1e-4, rtol=1e-3)


def test_a_split_stays_where_it_is_on_the_cpu():
    split = TensorSplit(ROW, torch.zeros(1).long(), torch.arange(1))
    assert resident(split, torch.device("cpu")) is split


@pytest.mark.parametrize("before", [True, False])
def test_determinism_is_for_the_block_alone(before):
    torch.use_deterministic_algorithms(before)
    try:
        with pytest.raises(KeyError), deterministic(torch.device("cpu")):
            assert torch.are_deterministic_algorithms_enabled()
            raise KeyError
        assert torch.are_deterministic_algorithms_enabled() is before
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    subprocess.run([sys.executable, "-m", "tests.learn.fit_on_two", str(tmp_path)], check=True)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    alone, steps = fit_on_two.train(None, {"steps": 60})
    assert first[0][1] == steps
    # the same sums in another order: float32 rounding over 60 steps of AdamW
    assert torch.allclose(torch.tensor(first[0][0]), torch.tensor(alone), atol=1e-5)
    assert (tmp_path / "fit" / "checkpoint.safetensors").exists()
