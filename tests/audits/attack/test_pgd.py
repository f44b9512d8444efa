import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.audits.attack import (
    L2Ball,
    LinfBall,
    cross_entropy,
    fgsm,
    margin,
    pgd,
    scale_free_cross_entropy,
)

WEIGHT = torch.tensor([[3.0, -4.0, 0.0, 1.0], [-1.0, 2.0, 2.0, 1.0]])


def linear() -> nn.Module:
    """Two logits; their difference has the weights (4, -6, -2, 0) and no bias."""
    with seeded(0), torch.no_grad():
        network = nn.Linear(4, 2, bias=False)
        network.weight.copy_(WEIGHT)
    return network.eval()


def points(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    # Far enough from 0 and 1 that the range never binds.
    x = 0.3 + 0.4 * torch.rand(n, 4, generator=generator)
    return x, linear()(x).argmax(1)


def distance(x: torch.Tensor, dual_norm: float) -> torch.Tensor:
    difference = WEIGHT[0] - WEIGHT[1]
    return (x @ difference).abs() / torch.linalg.vector_norm(difference, dual_norm)


@pytest.mark.oracle
@pytest.mark.parametrize(("ball", "dual"), [(LinfBall(0.1), 1.0), (L2Ball(0.15), 2.0)])
@pytest.mark.parametrize("loss", [cross_entropy, margin, scale_free_cross_entropy])
def test_pgd_fools_a_linear_network_exactly_where_the_boundary_is_inside(
    ball, dual, loss, generator
):
    x, y = points(400, generator)
    # On the sphere a step of half the radius divides the angle to the best point by about 1.5.
    settings = {"ball": ball, "n_steps": 40, "step_size": ball.radius / 2, "loss": loss}
    attacked = pgd(linear(), x, y, **settings, generator=generator)
    reach = distance(x, dual)  # the dual norm gives the closed-form distance to the boundary
    clear = (reach - ball.radius).abs() > 1e-4 * ball.radius  # float32
    assert clear.sum() > 398
    assert torch.equal(attacked.fooled[clear], (reach < ball.radius)[clear])
    assert 0.1 < attacked.fooled.float().mean() < 0.9  # both sides are present


@pytest.mark.oracle
def test_fgsm_is_optimal_on_a_linear_network(generator):
    x, y = points(200, generator)
    attacked = fgsm(linear(), x, y, radius=0.1)
    torch.testing.assert_close(attacked.fooled, distance(x, 1.0) < 0.1)


@pytest.mark.parametrize("ball", [LinfBall(0.1), L2Ball(0.2)])
@pytest.mark.parametrize("levels", [None, 255])
def test_attacked_inputs_stay_in_ball_range_and_grid(ball, levels, generator):
    x = torch.randint(0, 256, (60, 3, 5, 5), generator=generator).float() / 255
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(75, 4)).eval()
    y = torch.zeros(60, dtype=torch.long)
    found = pgd(network, x, y, ball=ball, levels=levels, n_steps=5, generator=generator)
    order = float("inf") if isinstance(ball, LinfBall) else 2.0
    norms = torch.linalg.vector_norm((found.x - x).flatten(1), order, dim=1)
    assert norms.max() <= ball.radius * (1 + 1e-4)  # float32 sums of 75 squares
    assert norms.max() > 0.9 * ball.radius  # and uses it
    assert 0 <= found.x.min() and found.x.max() <= 1
    if levels:
        off = found.x * levels
        assert (off - off.round()).abs().max() < 1e-3
    assert torch.equal(network(found.x).argmax(1) != y, found.fooled)


def test_rounding_of_less_than_one_level_changes_nothing(generator):
    x = torch.full((8, 4), 128 / 255)
    found = pgd(
        linear(),
        x,
        torch.zeros(8, dtype=torch.long),
        ball=LinfBall(0.9 / 255),
        levels=255,
        generator=generator,
    )
    assert torch.equal(found.x, x)


def test_l2_rounding_uses_the_room_that_truncation_leaves():
    offset = torch.full((1, 100), 1.6 / 255)
    ball = L2Ball(16.0 / 255)  # norm of the offset: 16 levels
    rounded = ball.round(offset, 255) * 255
    assert set(rounded.unique().round().tolist()) == {1.0, 2.0}
    # 100 + 3 k <= 256
    assert (rounded.round() == 2).sum() == 52


def test_tiny_gradients_still_give_whole_steps():
    gradient = torch.tensor([[3e-30, 4e-30], [0.0, 0.0]])
    step = L2Ball(1.0).step(gradient, 0.5)
    torch.testing.assert_close(step, torch.tensor([[0.3, 0.4], [0.0, 0.0]]))


def test_random_members_fill_the_l2_ball(generator):
    drawn = L2Ball(2.0).random(torch.zeros(4000, 3), generator)
    length = drawn.norm(dim=1)
    assert length.max() <= 2.0 + 1e-5
    # In three dimensions half of the ball lies within 2 * 0.5**(1/3); 4 standard errors of a share.
    assert abs((length < 2 * 0.5 ** (1 / 3)).float().mean() - 0.5) < 4 * 0.5 / 4000**0.5


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.rows = linear(), []

    def forward(self, x):
        if torch.is_grad_enabled():
            self.rows.append(len(x))
        return self.inner(x)


def test_fooled_inputs_leave_the_batch_and_gradients_take_the_whole_batch(generator):
    x, y = points(100, generator)
    network = Counting().eval()
    found = pgd(network, x, y, ball=LinfBall(0.1), n_steps=10, generator=generator)
    assert len(network.rows) == 10  # one call a step
    assert network.rows[0] == 100 and network.rows[-1] == (~found.fooled).sum()
    assert found.n_gradients == sum(network.rows)


def test_inputs_misclassified_from_the_start_are_left_alone(generator):
    x, y = points(20, generator)
    found = pgd(linear(), x, 1 - y, ball=LinfBall(0.1), generator=generator)
    assert found.fooled.all() and torch.equal(found.x, x) and found.n_gradients == 0


def test_parameters_are_untouched(generator):
    x, y = points(20, generator)
    network = linear()
    with torch.no_grad():  # callers often are inside no_grad
        pgd(network, x, y, ball=LinfBall(0.01), n_steps=2, generator=generator)
        fgsm(network, x, y, radius=0.01)
    assert network.weight.grad is None and network.weight.requires_grad


def test_same_generator_state_gives_the_same_attack():
    x, y = points(50, torch.Generator().manual_seed(1))
    first, second = (
        pgd(linear(), x, y, ball=L2Ball(0.1), generator=torch.Generator().manual_seed(5)).x
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_restarts_add_fooled_inputs_on_a_bumpy_loss(generator):
    class Bumpy(nn.Module):  # a narrow hole in class 0, with gradients that lead away from it
        def forward(self, x):
            hole = (x[:, :1] > 0.58).float() * 10
            slope = -x[:, :1]
            return torch.cat([torch.zeros_like(slope), slope - 0.1 + hole], 1)

    x, y = torch.full((200, 2), 0.5), torch.zeros(200, dtype=torch.long)
    shares = [
        pgd(Bumpy().eval(), x, y, ball=LinfBall(0.1), n_restarts=n, generator=generator)
        .fooled.float()
        .mean()
        for n in (1, 20)
    ]
    # A start falls into the hole with probability 0.1: 20 starts 0.88.
    assert shares[0] < 0.25 and shares[1] > 0.75


@pytest.mark.parametrize("scale", [1e-5, 1e5])
@pytest.mark.parametrize("loss", [margin, scale_free_cross_entropy])
def test_losses_free_of_scale_move_at_any_scale(loss, scale, generator):
    x, y = points(100, generator)
    scaled = nn.Sequential(linear(), Scale(scale)).eval()
    settings = {"ball": LinfBall(0.1), "generator": generator}
    found = pgd(scaled, x, y, loss=loss, **settings).fooled
    assert torch.equal(found, distance(x, 1.0) < 0.1)
    if scale > 1:  # there the plain one has underflowed
        plain = pgd(scaled, x, y, loss=cross_entropy, **settings).fooled
        assert plain.sum() < 0.5 * found.sum()


def test_constant_logits_have_no_gradient_and_no_nan(generator):
    x, y = points(5, generator)
    flat = nn.Sequential(linear(), Scale(0.0)).eval()
    found = pgd(
        flat, x, y * 0, ball=LinfBall(0.1), loss=scale_free_cross_entropy, generator=generator
    )
    assert found.x.isfinite().all() and not found.fooled.any()


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class NotFinite(nn.Module):
    def forward(self, x):
        return torch.cat([torch.sqrt(x[:, :1] - x[:, :1]), x[:, :1] - 1], 1)


def test_gradients_that_are_not_finite_do_not_poison_the_attack(generator):
    x, y = torch.full((4, 2), 0.5), torch.zeros(4, dtype=torch.long)
    found = pgd(NotFinite().eval(), x, y, ball=LinfBall(0.1), generator=generator)
    assert found.x.isfinite().all() and not found.fooled.any()


def test_empty_batch(generator):
    x, y = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    assert len(pgd(linear(), x, y, ball=L2Ball(0.1), generator=generator).fooled) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": 0}, "`n_steps` must be at least 1; got 0"),
        ({"n_restarts": -1}, "`n_restarts` must be at least 1; got -1"),
        ({"step_size": 0.0}, "`step_size` must be positive, in units of `x`; got 0.0"),
        ({"low": 0.6}, r"`x` must lie in \[0.6, 1.0\]"),
        ({"levels": 255}, "`x` must hold whole multiples of 1/255"),
    ],
)
def test_errors_name_the_argument(change, message, generator):
    x, y = points(5, generator)
    with pytest.raises(ValueError, match=message):
        pgd(linear(), x, y, **{"ball": LinfBall(0.1), "generator": generator, **change})


def test_training_mode_and_negative_radius_are_refused(generator):
    x, y = points(5, generator)
    with pytest.raises(ValueError, match="`network` must be in eval mode"):
        pgd(linear().train(), x, y, ball=LinfBall(0.1), generator=generator)
    with pytest.raises(ValueError, match="`radius` must be finite and not negative"):
        L2Ball(-0.1)
