import pytest
import torch
from torch import nn
from torch.nn import functional

from netwright import _rng
from netwright.compress import channels, prune_global
from netwright.data import load
from netwright.design.families import (
    cells,
    macro_cnn,
    residual_cnn,
    small_cnn,
    table_mlp,
    tabm,
    tiny_cells,
)


class Runs(nn.Module):
    """A module made of parts and a function of them."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def runs(function, **sizes):
    with _rng.seeded(0):
        made = {n: nn.Linear(*s) if len(s) == 2 else nn.Conv2d(*s) for n, s in sizes.items()}
    return Runs(function, **made)


def chain(*layers):
    with _rng.seeded(0):
        return nn.Sequential(*(nn.Linear(*sizes) for sizes in layers))


def sizes(found):
    return sorted(len(alike) for alike in found.sets)


def mates(found, name, axis=0):
    # For each channel of one axis, where else it is found.
    numbers = found.places[name][axis].tolist()
    return [
        {
            (other, a, i)
            for other, axes in found.places.items()
            for a, places in enumerate(axes)
            for i in (places == n).nonzero()[:, 0].tolist()
        }
        for n in numbers
    ]


def test_a_channel_is_followed_to_its_reader():
    found = channels(chain((3, 2), (2, 4)), torch.ones(1, 3))
    assert mates(found, "0.weight") == [
        {("0.weight", 0, i), ("0.bias", 0, i), ("1.weight", 1, i)} for i in range(2)
    ]


def test_what_is_added_goes_together():
    net = runs(lambda m, x: m.c(m.a(x) + m.b(x)), a=(3, 5), b=(3, 5), c=(5, 2))
    found = channels(net, torch.ones(1, 3))
    for i, each in enumerate(mates(found, "a.weight")):
        assert {("a.weight", 0, i), ("b.weight", 0, i), ("c.weight", 1, i)} <= each


def test_what_is_joined_keeps_its_place():
    net = runs(lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)), a=(3, 2), b=(3, 4), c=(6, 2))
    found = channels(net, torch.ones(1, 3))
    for i, each in enumerate(mates(found, "b.weight")):
        assert ("c.weight", 1, 2 + i) in each


def test_a_flattened_channel_has_a_feature_for_each_pixel():
    net = runs(lambda m, x: m.b(m.a(x).flatten(1)), a=(1, 3, 3), b=(12, 2))
    found = channels(net, torch.ones(1, 1, 4, 4))
    for channel, each in enumerate(mates(found, "a.weight")):
        read = sorted(i for name, axis, i in each if (name, axis) == ("b.weight", 1))
        assert read == [4 * channel + pixel for pixel in range(4)]


def test_convolutions_of_single_channels_pass_them_on():
    with _rng.seeded(0):
        net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 6, 3, groups=3), nn.Conv2d(6, 2, 1))
    found = channels(net, torch.ones(1, 1, 4, 4))
    assert sizes(found) == [3]
    for i, each in enumerate(mates(found, "0.weight")):
        assert {("1.weight", 0, 2 * i), ("2.weight", 1, 2 * i + 1)} <= each


def test_a_weight_used_twice_ties_what_it_reads():
    net = runs(lambda m, x: m.b(functional.relu(m.b(m.a(x)))).sum(1), a=(3, 4), b=(4, 4))
    found = channels(net, torch.ones(1, 3))
    assert found.count == 0  # what it makes, it also gives to the sum
    net = runs(lambda m, x: m.c(m.b(functional.relu(m.b(m.a(x))))), a=(3, 4), b=(4, 4), c=(4, 1))
    found = channels(net, torch.ones(1, 3))
    assert {("b.weight", 0, 1), ("b.weight", 1, 1)} <= mates(found, "a.weight")[1]


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("softmax", lambda m, x: m.b(m.a(x).softmax(1)), "_softmax"),
        ("a norm of layers", lambda m, x: m.b(functional.layer_norm(m.a(x), (4,))), "layer_norm"),
        ("part of the channels", lambda m, x: m.b(m.a(x)[:, [0, 1, 2, 3]]), "index"),
        ("a slice of them", lambda m, x: m.b(m.a(x)[:, :3].repeat(1, 2)[:, :4]), "slice"),
        ("two of them apart", lambda m, x: m.b(m.a(x).view(-1, 2, 2).flatten(1)), "view"),
        ("a sum over them", lambda m, x: m.b(m.a(x) / m.a(x).sum(1, keepdim=True)), "sum"),
        ("the input beside them", lambda m, x: m.b(m.a(x) + x), "add"),
        ("a copy", lambda m, x: m.b(torch.zeros(len(x), 4).copy_(m.a(x))), "copy_"),
    ],
    ids=lambda each: each.replace(" ", "-") if isinstance(each, str) else "",
)
def test_what_cannot_be_followed_stays_and_is_named(name, function, reason):
    found = channels(runs(function, a=(4, 4), b=(4, 2)), torch.ones(1, 4))
    assert found.count == 0
    assert reason in found.untouched["a.weight"]


def test_a_gate_of_one_channel_does_not_hold_the_others():
    net = runs(lambda m, x: m.c(m.a(x) * m.b(x).sigmoid()), a=(3, 5), b=(3, 1), c=(5, 2))
    found = channels(net, torch.ones(1, 3))
    assert sizes(found) == [5]
    assert "b.weight" in found.untouched


def test_constrained_weights_are_not_followed():
    net = chain((3, 8), (8, 2))
    prune_global(net, keep=0.5)
    assert channels(net, torch.ones(1, 3)).count == 0


def test_the_network_is_left_in_its_mode_and_without_hooks():
    net = nn.Sequential(chain((3, 2)), nn.Dropout(), chain((2, 1))).train()
    channels(net, torch.ones(1, 3))
    assert all(m.training and not m._forward_hooks for m in net.modules())


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (lambda s: residual_cnn(s, widths=(4, 8), blocks=(2, 1)), [4, 4, 4, 8, 8]),
        (lambda s: residual_cnn(s, widths=(4, 8), blocks=(1, 1), squeeze=True), [4, 4, 4, 4, 8, 8]),
        (lambda s: small_cnn(s, stem=4, widths=(6, 8)), [4, 6, 8]),
        (macro_cnn, [16, 32, 32, 64]),
        (lambda s: cells(s, width=4), [4, 4, 4, 8, 8, 8, 8]),
        (tiny_cells, [8, 8, 16, 16]),
    ],
    ids=["residual_cnn", "residual_cnn with squeeze", "small_cnn", "macro_cnn", "cells", "tiny"],
)
def test_families_of_image_networks_can_be_thinned(family, expected):
    schema = load("digits").schema
    with _rng.seeded(0):
        found = channels(family(schema), torch.zeros(1, *schema.input.shape))
    assert sizes(found) == expected
    assert set(found.untouched) == {"head.weight"}


def test_a_slope_for_each_channel_goes_with_it():
    with _rng.seeded(0):
        net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.PReLU(3), nn.Conv2d(3, 2, 1))
    found = channels(net, torch.ones(1, 1, 4, 4))
    assert ("1.weight", 0, 2) in mates(found, "0.weight")[2]


def test_heads_that_multiply_all_members_at_once_stay():
    schema = load("wine").schema
    with _rng.seeded(0):
        found = channels(tabm(schema), torch.zeros(1, *schema.input.shape))
    assert found.count > 0
    assert any("`bmm`" in reason for reason in found.untouched.values())


def test_tables_are_encoded_as_before():
    schema = load("wine").schema
    with _rng.seeded(0):
        net = table_mlp(schema, width=16, depth=2)
    found = channels(net, torch.zeros(1, *schema.input.shape))
    assert sizes(found) == [16, 16]
