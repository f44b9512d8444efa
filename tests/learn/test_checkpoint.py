import pytest
import torch
from torch import nn

from netwright import _rng
from netwright.learn import adamw, sgd
from netwright.learn._checkpoint import (
    Checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    select,
)

STATE = {"step": 3, "losses": [0.1, 1 / 3, float("inf")], "stopped": None}


def test_round_trip_is_exact(tmp_path):
    tensors = {"network.w": torch.rand(3, generator=torch.Generator()), "best.n": torch.tensor(7)}
    Checkpoint(tensors, STATE).write(tmp_path / "new")
    found = read_checkpoint(tmp_path / "new")
    assert found is not None and found.state == STATE
    assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)
    assert set(select(found.tensors, "network")) == {"w"}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["checkpoint.safetensors"]


def test_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / ".checkpoint.safetensors.1.tmp").write_bytes(b"torn")
    assert read_checkpoint(tmp_path) is None
    Checkpoint({"a": torch.ones(1)}, STATE).write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_no_checkpoint_is_none(tmp_path):
    assert read_checkpoint(tmp_path) is None


def test_tied_weights_are_kept(tmp_path):
    weight = torch.ones(2, 2)
    Checkpoint({"a": weight, "b": weight}, STATE).write(tmp_path)
    assert read_checkpoint(tmp_path).tensors.keys() == {"a", "b"}


def test_damaged_file_is_named_with_the_way_out(tmp_path):
    Checkpoint({"a": torch.ones(100)}, STATE).write(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="checkpoint.safetensors is not a readable .* Delete it"):
        read_checkpoint(tmp_path)


def test_other_format_is_an_error(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "checkpoint.safetensors", {"format": "99"})
    with pytest.raises(ValueError, match="has checkpoint format 99; .* reads format 1"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("make", [adamw, sgd])
def test_restored_optimiser_takes_the_same_steps_in_any_memory_layout(make, tmp_path):
    def prepare():
        with _rng.seeded(0):
            network = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        return network, make(network, learning_rate=0.1, weight_decay=0.1)

    def step(network, optimizer, scale):
        for parameter in network.parameters():
            # autograd, too, lays a gradient out as its parameter
            parameter.grad = torch.empty_like(parameter).copy_(parameter.detach() * scale)
        optimizer.step()

    network, optimizer = prepare()
    step(network, optimizer, 1.0)
    Checkpoint(
        {f"o.{k}": v for k, v in optimizer_tensors(optimizer).items()}
        | {f"n.{k}": v for k, v in network.state_dict().items()},
        STATE,
    ).write(tmp_path)
    saved = read_checkpoint(tmp_path)
    other, restored = prepare()
    other.load_state_dict(select(saved.tensors, "n"))
    restore_optimizer(restored, select(saved.tensors, "o"))
    for scale in (0.5, -2.0):
        step(network, optimizer, scale)
        step(other, restored, scale)
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)
