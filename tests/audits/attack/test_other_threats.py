"""One change for all, a patch, turned images, and attacks on an average over views."""

import math

import pytest
import torch
from torch import nn

from netwright.audits.attack import (
    L2Ball,
    LinfBall,
    expected,
    patch,
    pgd,
    random_views,
    spatial,
    turned,
    universal,
)


@pytest.fixture
def bright(generator):
    """Class 1 iff the upper half is brighter than the lower; images that say 0 by far."""

    class Halves(nn.Module):
        def forward(self, x):
            upper, lower = x[:, 0, :4].mean((1, 2)), x[:, 0, 4:].mean((1, 2))
            return torch.stack([lower - upper, upper - lower], 1) * 10

    x = torch.zeros(40, 1, 8, 8)
    x[:, :, 5:7, 1:7] = torch.randint(128, 230, (40, 1, 2, 6), generator=generator) / 255
    return Halves().eval(), x, torch.zeros(40, dtype=torch.long)


def test_one_change_fools_all_of_a_linear_class(plane, generator):
    rows = plane.y == 1
    x, y = plane.x[rows], plane.y[rows]
    reach = plane.distance(1.0)[rows]
    radius = reach.quantile(0.8).item()
    found = universal(plane.network, x, y, ball=LinfBall(radius), generator=generator)
    # For one class of a linear network the best universal change is every input's own best one.
    assert found.offset.abs().max() <= radius + 1e-6
    assert abs(found.fooled.float().mean().item() - 0.8) < 0.03
    again = plane.network(found.apply(x)).argmax(1) != y
    assert torch.equal(again, found.fooled)


def test_one_change_does_not_fool_both_sides_of_a_plane(plane, generator):
    radius = plane.distance(2.0).quantile(0.8).item()
    ball = L2Ball(radius)
    found = universal(plane.network, plane.x, plane.y, ball=ball, generator=generator)
    assert found.fooled.float().mean() < 0.6  # what pushes one class over pulls the other back


def test_a_patch_wins_wherever_it_sticks(digits_subject, generator):
    x = digits_subject.split.take(slice(0, 100))
    found = patch(
        digits_subject.network, x, aim=4, side=5, degrees=0.0, n_steps=150, generator=generator
    )
    assert found.pixels.shape == (1, 5, 5) and 0 <= found.pixels.min() <= found.pixels.max() <= 1
    before = (digits_subject.network(x).argmax(1) == 4).float().mean().item()
    assert found.share > before + 0.2
    stuck = found.paste(x, generator=generator)
    assert ((stuck != x).flatten(1).sum(1) <= 25).all()  # nothing else changes
    with pytest.raises(ValueError, match="between 1 and the image's 8 pixels; got 9"):
        patch(digits_subject.network, x, aim=3, side=9)


def test_a_patch_of_one_colour_stays_so_when_turned(generator):
    network = lambda x: torch.stack([x.mean((1, 2, 3)), 1 - x.mean((1, 2, 3))], 1)  # noqa: E731
    x = torch.zeros(10, 1, 12, 12)
    found = patch(network, x, aim=0, side=6, n_steps=50, generator=generator)
    assert found.pixels.mean() > 0.95  # as bright as can be
    stuck = found.paste(x, degrees=45.0, generator=generator)
    assert stuck.max() <= 1 and (stuck.sum((1, 2, 3)) > 25).all()


@pytest.mark.oracle
def test_quarter_turns_shifts_and_zoom_are_those_of_indices(generator):
    x = torch.rand(3, 2, 6, 6, generator=generator)
    ninety = torch.full((3,), 90.0)
    torch.testing.assert_close(turned(x, degrees=ninety), x.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    moved = turned(x, down=torch.full((3,), 2.0), right=torch.full((3,), -1.0))
    torch.testing.assert_close(moved[:, :, 2:, :5], x[:, :, :4, 1:], atol=1e-5, rtol=0)
    assert moved[:, :, :2].abs().max() < 1e-5 and moved[:, :, :, 5].abs().max() < 1e-5
    smooth = torch.linspace(-1, 1, 8).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    zoomed = turned(smooth, zoom=torch.tensor([2.0]))  # half the slope, same middle
    torch.testing.assert_close(zoomed[0, 0, 4, 2:6], smooth[0, 0, 4, 2:6] / 2, atol=1e-5, rtol=0)
    wide = torch.zeros(1, 1, 4, 8)  # pixels stay square where the image is not
    wide[0, 0, 1:3, 3:5] = 1.0
    torch.testing.assert_close(turned(wide, degrees=ninety[:1]), wide, atol=1e-5, rtol=0)


def test_turning_finds_what_is_upside_down(bright):
    network, x, y = bright
    assert spatial(network, x, y, degrees=180, pixels=0, n_angles=13, n_shifts=1).fooled.all()
    still = spatial(network, x, y, degrees=10, pixels=0, n_angles=5, n_shifts=1)
    assert not still.fooled.any() and torch.equal(still.x, x)
    assert still.n_queries == 40 * 6 and still.n_gradients == 0
    shifted = spatial(network, x, y, degrees=0, pixels=3, n_angles=1, n_shifts=7, levels=255)
    assert shifted.fooled.all()  # three pixels up
    off = shifted.x * 255
    assert (off - off.round()).abs().max() < 1e-3


def test_attacks_on_the_average_survive_the_views(digits_subject, generator):
    network = digits_subject.network
    x, y = digits_subject.split.take(slice(0, 60)), digits_subject.split.y[:60]
    views = random_views(degrees=15.0, pixels=0.5, zoom=0.1, noise_std=0.02)

    def misread(attacked):
        with torch.no_grad():
            shares = [
                (network(views(attacked, generator)).argmax(1) != y).float().mean().item()
                for _ in range(20)
            ]
        return sum(shares) / len(shares)

    ball = LinfBall(0.12)
    plain = pgd(network, x, y, ball=ball, n_steps=10, generator=generator)
    average = expected(network, views, n_samples=12, generator=generator)
    through = pgd(average, x, y, ball=ball, n_steps=10, generator=generator)
    assert misread(through.x) > misread(plain.x) + 0.05


def test_a_network_that_is_random_itself_is_attacked_on_average(plane, generator):
    def restless(x):
        return plane.network(x + 0.05 * torch.randn(x.shape, generator=generator))

    average = expected(restless, lambda x, _: x, n_samples=64)
    found = pgd(average, plane.x, plane.y, ball=LinfBall(0.1), generator=generator)
    reach = plane.distance(1.0)
    # The noise moves the lead by 0.05 * |w| = 0.37, its mean over 64 by 0.05; the dual norm is 12.
    assert found.fooled[reach < 0.08].all() and not found.fooled[reach > 0.12].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_views(zoom=1.0), "`zoom` must be below 1"),
        (lambda: random_views(degrees=-1.0), "`degrees` must not be negative"),
        (lambda: expected(lambda x: x, lambda x, _: x, n_samples=0), "`n_samples`"),
        (lambda: expected(nn.Dropout(0.5), lambda x, _: x), "in eval mode"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_shift_and_angle_cannot_be_negative(bright):
    network, x, y = bright
    with pytest.raises(ValueError, match="`pixels` must not be negative"):
        spatial(network, x, y, pixels=-1.0)
    assert math.isfinite(spatial(network, x[:0], y[:0]).n_queries)
