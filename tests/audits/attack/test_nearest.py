"""Attacks that look for the smallest change, against the distance to a plane."""

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.audits.attack import (
    L1Ball,
    L2Ball,
    LinfBall,
    bim,
    carlini_wagner,
    deepfool,
    hop_skip_jump,
    jsma,
    momentum_pgd,
)

DUAL = {LinfBall: 1.0, L2Ball: 2.0, L1Ball: torch.inf}


@pytest.mark.oracle
@pytest.mark.parametrize("ball", [LinfBall(1.0), L2Ball(1.0), L1Ball(4.0)])
def test_deepfool_oversteps_the_plane_by_its_overshoot(ball, plane):
    found = deepfool(plane.network, plane.x, plane.y, ball=ball, overshoot=0.02)
    reach = plane.distance(DUAL[type(ball)])
    far = reach > 1e-3  # nearer points cross by the hair added to the gap
    assert found.fooled.all()
    # One step onto the plane and 2 % beyond; the hair is 1e-6 in logits, 1e-7 in distance.
    torch.testing.assert_close(found.distance[far], 1.02 * reach[far], rtol=2e-3, atol=1e-6)
    torch.testing.assert_close(ball.length(found.x - plane.x), found.distance)


@pytest.mark.oracle
def test_carlini_wagner_comes_close_to_the_plane_and_never_under(plane):
    x, y = plane.x[:60], plane.y[:60]
    found = carlini_wagner(plane.network, x, y)
    reach = plane.distance(2.0)[:60]
    assert found.fooled.all() and (found.distance >= reach * (1 - 1e-3)).all()
    # Adam ends in steps of a hundredth of 0.1 in the hidden space, 2.5e-4 here.
    assert (found.distance <= reach + 0.002).all()


@pytest.mark.oracle
@pytest.mark.parametrize("ball", [LinfBall(1.0), L2Ball(1.0)])
def test_hop_skip_jump_comes_close_by_classes_alone(ball, plane, generator):
    x, y = plane.x[:20], plane.y[:20]

    def classes(x):  # nothing but the class, and no gradient
        return nn.functional.one_hot(plane.network(x).argmax(1), 2).float().detach()

    found = hop_skip_jump(classes, x, y, ball=ball, n_steps=12, generator=generator)
    reach = plane.distance(DUAL[type(ball)])[:20]
    assert found.fooled.all() and found.n_gradients == 0
    assert (found.distance >= reach * (1 - 1e-3)).all()
    # In 4 dimensions 100 probes give the direction to about a tenth.
    assert (found.distance / reach).median() < 1.15
    # Probes of 12 steps: the sum of 100 * sqrt(t), 2,900; the rest is bisection.
    assert 20 * 2500 < found.n_queries < 20 * 4000


def test_hop_skip_jump_starts_from_other_rows_where_noise_is_no_start(generator):
    # Class 1 needs all coordinates above 0.9: of 8 uniform ones that happens once in 1e8.
    class Corner(nn.Module):
        def forward(self, x):
            lead = x.amin(1) - 0.9
            return torch.stack([-lead, lead], 1)

    x = torch.cat([torch.full((5, 8), 0.5), torch.full((5, 8), 0.95)])
    y = torch.tensor([0] * 5 + [1] * 5)
    found = hop_skip_jump(Corner().eval(), x, y, ball=L2Ball(2.0), n_steps=3, generator=generator)
    assert found.fooled.all()
    assert (found.distance[:5] < 0.45 * 8**0.5 + 1e-3).all()  # no farther than where it began


def test_jsma_changes_the_two_coordinates_that_count():
    class Two(nn.Module):  # class 1 iff the first two coordinates sum to more than 1.5
        def forward(self, x):
            lead = x[:, 0] + x[:, 1] - 1.5 + 0.01 * x[:, 2:].sum(1)
            return torch.stack([-lead, lead], 1)

    x, y = torch.zeros(3, 20), torch.zeros(3, dtype=torch.long)
    found = jsma(Two().eval(), x, y)
    changed = found.x != x
    assert found.fooled.all() and (changed.sum(1) == 2).all() and changed[:, :2].all()
    down = jsma(Two().eval(), 1 - x, y + 1, theta=-1.0)
    assert down.fooled.all() and ((down.x != 1 - x).sum(1) == 2).all()
    never = jsma(Two().eval(), x, y, theta=-1.0)  # nothing can be lowered
    assert not never.fooled.any() and torch.equal(never.x, x)


def test_jsma_keeps_to_its_share_of_the_coordinates(generator):
    with seeded(0):
        network = nn.Linear(40, 5).eval()
    x = torch.rand(30, 40, generator=generator)
    y = network(x).argmax(1)
    found = jsma(network, x, y, most_changed=0.1)
    changed = (found.x != x).sum(1)
    assert changed.max() <= 4 and found.fooled.any()
    assert torch.equal(network(found.x).argmax(1) != y, found.fooled)
    with pytest.raises(ValueError, match="`aims` must differ"):
        jsma(network, x, y, aims=y)


@pytest.mark.oracle
@pytest.mark.parametrize("attack", ["bim", "momentum"])
def test_iterated_steps_fool_exactly_what_the_plane_is_near(attack, plane):
    settings = {"network": plane.network, "x": plane.x, "y": plane.y}
    if attack == "bim":
        found = bim(**settings, radius=0.1)
    else:
        found = momentum_pgd(**settings, ball=LinfBall(0.1))
    reach = plane.distance(1.0)
    clear = (reach - 0.1).abs() > 1e-4
    assert torch.equal(found.fooled[clear], (reach < 0.1)[clear])
    assert found.n_gradients < 200 * 10  # what is fooled leaves


@pytest.mark.parametrize("attack", [deepfool, carlini_wagner, hop_skip_jump])
def test_only_real_pixels_count(attack, generator):
    x = torch.randint(0, 256, (12, 16), generator=generator).float() / 255
    with seeded(0), torch.no_grad():
        network = nn.Linear(16, 3).eval()
        network.bias.copy_(-network.weight.sum(1) / 2)  # all classes occur
    y = network(x).argmax(1)
    settings = {"levels": 255}
    if attack is not carlini_wagner:
        settings["ball"] = L2Ball(4.0)
    if attack is hop_skip_jump:
        settings |= {"generator": generator, "n_steps": 3}
    found = attack(network, x, y, **settings)
    off = found.x * 255
    assert (off - off.round()).abs().max() < 1e-3
    assert torch.equal(network(found.x).argmax(1) != y, found.fooled) and found.fooled.all()
    assert 0 <= found.x.min() and found.x.max() <= 1


def test_changes_beyond_the_radius_do_not_count(plane):
    found = deepfool(plane.network, plane.x, plane.y, ball=L2Ball(0.1), n_steps=5)
    near = plane.distance(2.0) < 0.1 / 1.03
    assert torch.equal(found.fooled[near], torch.ones_like(near[near]))
    assert not found.fooled[plane.distance(2.0) > 0.1].any()
    assert torch.equal(found.x[~found.fooled], plane.x[~found.fooled])
    assert found.distance[~found.fooled].isinf().all()


def test_what_is_wrong_from_the_start_is_at_distance_zero(plane, generator):
    wrong = 1 - plane.y[:5]
    for found in (
        deepfool(plane.network, plane.x[:5], wrong, ball=L2Ball(1.0)),
        carlini_wagner(plane.network, plane.x[:5], wrong),
        hop_skip_jump(plane.network, plane.x[:5], wrong, ball=L2Ball(1.0), generator=generator),
    ):
        assert found.fooled.all() and (found.distance == 0).all()
        assert torch.equal(found.x, plane.x[:5]) and found.n_gradients == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda **k: deepfool(**k, ball=L2Ball(1), overshoot=-1.0), ValueError, "`overshoot`"),
        (lambda **k: carlini_wagner(**k, confidence=-1.0), ValueError, "`confidence`"),
        (lambda **k: carlini_wagner(**k, step_size=0.0), ValueError, "`step_size`"),
        (lambda **k: hop_skip_jump(**k, ball=L1Ball(1)), TypeError, "an L2Ball or a LinfBall"),
        (lambda **k: jsma(**k, theta=0.0), ValueError, "`theta` must not be 0"),
        (lambda **k: jsma(**k, most_changed=0.0), ValueError, "`most_changed` is a share"),
        (lambda **k: bim(**k, radius=0.1, n_steps=0), ValueError, "`n_steps`"),
        (lambda **k: momentum_pgd(**k, ball=L2Ball(1), decay=-1.0), ValueError, "`decay`"),
    ],
)
def test_errors_name_the_argument(call, error, message, plane):
    with pytest.raises(error, match=message):
        call(network=plane.network, x=plane.x, y=plane.y)
