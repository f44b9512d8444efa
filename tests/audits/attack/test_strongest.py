import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.audits.attack import (
    L1Ball,
    L2Ball,
    LinfBall,
    apgd,
    apgd_targeted,
    ensemble,
    fab,
    in_turn,
    logit_ratio,
    margin,
    most_passes,
    square_l2,
    square_linf,
    strongest,
    targeted_logit_ratio,
)
from netwright.audits.attack._apgd import checkpoints

BALLS = {"linf": (LinfBall(0.1), 1.0), "l2": (L2Ball(0.15), 2.0), "l1": (L1Ball(0.2), torch.inf)}
MEMBERS = ("APGD-CE", "APGD-T", "FAB-T")


@pytest.mark.oracle
@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("name", MEMBERS)
def test_each_member_fools_exactly_what_the_plane_is_near(name, norm, plane, generator):
    ball, dual = BALLS[norm]
    (member,) = (m for m in ensemble(ball, n_steps=40) if m.name == name)
    found = member.attack(plane.network, plane.x, plane.y, generator=generator)
    reach = plane.distance(dual)
    clear = (reach - ball.radius).abs() > 1e-3 * ball.radius  # where float32 cannot decide
    assert clear.sum() > 190
    assert torch.equal(found.fooled[clear], (reach < ball.radius)[clear])
    assert 0.1 < found.fooled.float().mean() < 0.9  # both sides are present


@pytest.mark.oracle
def test_square_finds_the_corner_of_a_small_box(plane, generator):
    found = square_linf(
        plane.network, plane.x, plane.y, radius=0.1, n_queries=400, generator=generator
    )
    reach = plane.distance(1.0)
    # Four signs: 400 random tries miss the best corner of 16 with probability below 1e-9.
    clear = (reach - 0.1).abs() > 1e-4
    assert torch.equal(found.fooled[clear], (reach < 0.1)[clear])
    assert found.n_gradients == 0 and found.n_queries < 200 * 402


@pytest.mark.parametrize("attack", [square_linf, square_l2])
def test_square_never_fools_what_cannot_be_fooled_and_fools_what_is_easy(
    attack, wide_plane, generator
):
    x, dual = wide_plane.x.view(-1, 1, 8, 8), 1.0 if attack is square_linf else 2.0
    network = nn.Sequential(nn.Flatten(), wide_plane.network).eval()
    reach = wide_plane.distance(dual)
    radius = reach.median().item()
    found = attack(network, x, wide_plane.y, radius=radius, n_queries=300, generator=generator)
    assert not found.fooled[reach > radius * (1 + 1e-4)].any()
    assert found.fooled[reach < radius / 4].all() and (reach < radius / 4).sum() >= 5
    again = attack(network, x, wide_plane.y, radius=radius, n_queries=20, generator=generator)
    assert again.fooled.sum() <= found.fooled.sum()  # more queries find more


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("levels", [None, 255])
def test_results_stay_in_ball_range_and_grid(norm, levels, generator):
    ball = {"linf": LinfBall(0.1), "l2": L2Ball(0.3), "l1": L1Ball(2.0)}[norm]
    x = torch.randint(0, 256, (20, 1, 6, 6), generator=generator).float() / 255
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(36, 4)).eval()
    y = network(x).argmax(1)
    settings = {"levels": levels, "generator": generator}
    for member in ensemble(ball, n_steps=5, n_queries=20):
        found = member.attack(network, x, y, **settings)
        length = ball.length(found.x - x)
        assert length.max() <= ball.radius * (1 + 1e-4), member.name  # float32 sums
        assert 0 <= found.x.min() and found.x.max() <= 1
        assert torch.equal(network(found.x).argmax(1) != y, found.fooled)
        if levels:
            off = found.x * levels
            assert (off - off.round()).abs().max() < 1e-3


def test_members_attack_only_what_still_stands(plane, generator):
    seen = []

    def counting(x):
        seen.append(len(x))
        return plane.network(x)

    left = {}
    members = ensemble(LinfBall(0.1), n_steps=10, n_queries=10)
    found = in_turn(
        members,
        counting,
        plane.x,
        plane.y,
        on_member=lambda member, n: left.update({member.name: n}),
        generator=generator,
    )
    assert [*left] == ["APGD-CE", "APGD-T", "FAB-T", "Square"]
    assert [*left.values()] == sorted(left.values(), reverse=True)
    # Targets are found by one pass over a member's inputs that the counts leave out.
    assert seen[0] == 200 and sum(seen) == found.n_gradients + found.n_queries + 2 * left["APGD-CE"]
    assert left["Square"] == int((plane.distance(1.0) >= 0.1).sum())


def test_what_a_row_costs_at_most_is_told(plane, generator):
    settings = {"n_steps": 6, "n_restarts": 2, "n_targets": 1, "n_queries": 30}
    found = strongest(
        plane.network, plane.x, plane.y, ball=LinfBall(1e-4), **settings, generator=generator
    )
    stands = int((~found.fooled).sum())
    assert stands > 190
    spent = (found.n_gradients + found.n_queries / 3) / stands
    assert 0.8 < spent / most_passes(**settings) < 1.2


def test_what_came_closest_is_attacked_again_and_only_that(generator):
    with seeded(3):
        layers = (nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 5))
        network = nn.Sequential(*layers).eval()
    x = torch.rand(300, 20, generator=generator)
    y = network(x).argmax(1)
    effort = {"n_steps": 2, "n_targets": 1, "n_queries": 0}
    ball = LinfBall(0.12)
    bounds = {"generator": generator}
    once = in_turn(ensemble(ball, **effort), network, x, y, **bounds)
    twice = strongest(network, x, y, ball=ball, **effort, **bounds)
    assert 20 < once.fooled.sum() < twice.fooled.sum() < 200
    margins = margin(network(once.x), y).masked_fill(once.fooled, -torch.inf)
    late = (twice.fooled & ~once.fooled).nonzero()[:, 0]
    ranks = margins.argsort(descending=True).argsort()[late]
    assert ranks.float().median() < 0.05 * (~once.fooled).sum()
    assert twice.n_gradients < 3 * once.n_gradients  # ten times, had all been attacked again


class Planted(nn.Module):
    """Flat around every point but for one dip each attack can see: which losses find it?"""

    def forward(self, x):
        far = (x[:, 0] - 0.5).abs()
        right = torch.relu(0.08 - far)  # 0 beyond 0.08
        return torch.stack([right, torch.zeros_like(right) + 1e-3], 1)


def test_a_kink_is_found_by_the_ensemble(generator):
    x, y = torch.full((10, 3), 0.5), torch.zeros(10, dtype=torch.long)
    found = strongest(Planted().eval(), x, y, ball=LinfBall(0.1), generator=generator)
    assert found.fooled.all()


@pytest.mark.oracle
def test_checkpoints_are_those_of_the_paper():
    # Croce & Hein 2020: p = 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99, times 100.
    assert checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)


def test_logit_ratios_do_not_depend_on_shift_and_scale(generator):
    logits = torch.randn(50, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(6, (50,), generator=generator)
    aims = (y + 1 + torch.randint(5, (50,), generator=generator)) % 6
    moved = 1e3 * logits + 7
    torch.testing.assert_close(logit_ratio(moved, y), logit_ratio(logits, y))
    targeted = targeted_logit_ratio(logits, y, aims)
    torch.testing.assert_close(targeted_logit_ratio(moved, y, aims), targeted)
    assert torch.equal(logit_ratio(logits, y) > 0, logits.argmax(1) != y)


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_few_classes_have_losses_too(n_classes, generator):
    logits = torch.randn(5, n_classes, generator=generator)
    y = torch.zeros(5, dtype=torch.long)
    assert logit_ratio(logits, y).isfinite().all()
    assert targeted_logit_ratio(logits, y, y + n_classes - 1).isfinite().all()


@pytest.mark.oracle
def test_l1_projection_is_the_nearest_point(generator):
    from scipy.optimize import minimize

    ball = L1Ball(1.0)
    offset = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    for row, projected in zip(offset, ball.project(offset), strict=True):
        best = minimize(  # as differences of two positive parts, where the norm is linear
            lambda z, row=row: float(((z[:4] - z[4:] - row.numpy()) ** 2).sum()),
            [0.1] * 8,
            bounds=[(0, None)] * 8,
            constraints={"type": "ineq", "fun": lambda z: 1.0 - z.sum()},
            tol=1e-12,
        )
        nearest = torch.tensor(best.x[:4] - best.x[4:])
        torch.testing.assert_close(projected, nearest, atol=1e-5, rtol=0)  # of SLSQP


def test_l1_members_fill_the_ball(generator):
    drawn = L1Ball(2.0).random(torch.zeros(4000, 2), generator)
    length = drawn.abs().sum(1)
    assert length.max() <= 2.0 + 1e-5
    # In the plane half of the ball lies within 2 / sqrt(2); 4 standard errors of a share.
    assert abs((length < 2**0.5).float().mean() - 0.5) < 4 * 0.5 / 4000**0.5


@pytest.mark.oracle
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_way_to_a_hyperplane_in_a_box_is_the_shortest(norm, generator):
    from scipy.optimize import linprog, minimize

    from netwright.audits.attack._hyperplane import crossing

    ball = BALLS[norm][0]
    x = torch.rand(8, 5, generator=generator, dtype=torch.float64)
    normal = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    most = torch.where(normal > 0, normal * (1 - x), -normal * x).sum(1)
    gap = 0.7 * most  # within reach, but some coordinates hit the range
    offset = ball.cross(crossing(x, normal, gap, low=0.0, high=1.0))
    torch.testing.assert_close((offset * normal).sum(1), gap)
    assert ((x + offset) >= -1e-9).all() and ((x + offset) <= 1 + 1e-9).all()
    for i in range(8):
        a, w, box = gap[i].item(), normal[i].numpy(), list(zip(-x[i], 1 - x[i], strict=True))
        if norm == "l2":
            best = (
                minimize(
                    lambda d: float((d**2).sum()),
                    offset[i].numpy() * 0,
                    bounds=box,
                    constraints={"type": "eq", "fun": lambda d, w=w, a=a: w @ d - a},
                    tol=1e-12,
                ).fun
                ** 0.5
            )
        elif norm == "l1":
            split = [*w, *-w]
            bounds = [(0, float(b[1])) for b in box] + [(0, float(-b[0])) for b in box]
            best = linprog([1.0] * 10, A_eq=[split], b_eq=[a], bounds=bounds).fun
        else:
            unit = [[*(1.0 if j == k else 0.0 for k in range(5)), -1.0] for j in range(5)]
            both = unit + [[-v for v in row[:-1]] + [-1.0] for row in unit]
            bounds = [*((float(b[0]), float(b[1])) for b in box), (0, None)]
            best = linprog(
                [0.0] * 5 + [1.0],
                A_ub=both,
                b_ub=[0.0] * 10,
                A_eq=[[*w, 0.0]],
                b_eq=[a],
                bounds=bounds,
            ).fun
        assert ball.length(offset[i : i + 1]).item() == pytest.approx(best, abs=1e-5)


def test_a_hyperplane_beyond_the_box_is_approached_as_far_as_it_goes():
    from netwright.audits.attack._hyperplane import crossing

    x, normal = torch.tensor([[0.2, 0.9]]), torch.tensor([[1.0, -1.0]])
    for ball, _ in BALLS.values():
        way = crossing(x, normal, torch.tensor([9.0]), low=0.0, high=1.0)
        torch.testing.assert_close(ball.cross(way), torch.tensor([[0.8, -0.9]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda **k: apgd(**k, n_steps=0), "`n_steps` must be at least 1; got 0"),
        (lambda **k: apgd_targeted(**k, n_targets=0), "`n_targets` must be at least 1; got 0"),
        (lambda **k: fab(**k, n_restarts=0), "`n_restarts` must be at least 1; got 0"),
    ],
)
def test_errors_name_the_argument(call, message, plane):
    with pytest.raises(ValueError, match=message):
        call(network=plane.network, x=plane.x, y=plane.y, ball=LinfBall(0.1))


@pytest.mark.parametrize("attack", [square_linf, square_l2])
def test_square_refuses_shares_and_counts_that_mean_nothing(attack, plane):
    with pytest.raises(ValueError, match="`n_queries` must be at least 1; got 0"):
        attack(plane.network, plane.x, plane.y, radius=0.1, n_queries=0)
    with pytest.raises(ValueError, match=r"`first_share` of the image must lie in \(0, 1\]; got 2"):
        attack(plane.network, plane.x, plane.y, radius=0.1, first_share=2.0)


def test_nothing_to_attack_is_no_error(plane, generator):
    none = plane.x[:0], plane.y[:0]
    for ball in (LinfBall(0.1), L2Ball(0.1), L1Ball(0.1)):
        assert len(strongest(plane.network, *none, ball=ball, generator=generator).fooled) == 0
    point = strongest(plane.network, plane.x, plane.y, ball=LinfBall(0.0), generator=generator)
    assert torch.equal(point.x, plane.x) and not point.fooled.any()
