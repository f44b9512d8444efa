import math

import pytest
import torch

from netwright._rng import seeded
from netwright.data import Schema, TensorSplit
from netwright.design import Strategy
from netwright.design.spaces import cell_space
from netwright.design.strategies import Darts, darts, genotype
from netwright.design.strategies._darts import _drop_skip, unrolled_gradients
from netwright.design.strategies._halved import HalvedBatches

from ..samples import CLASS, INPUTS, about

SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)


def space(*operations, n_nodes=1, n_reductions=0):
    return cell_space(
        SCHEMA, n_nodes=n_nodes, operations=operations, widths=(4,), n_reductions=n_reductions
    )


def edges(n, generator):
    """Images whose class is the direction of a faint edge: a mean over pixels does not see it."""
    y = torch.randint(3, (n,), generator=generator)
    x = 0.5 + 0.05 * torch.randn(n, 1, 8, 8, generator=generator)
    stripes = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    rows, columns, board = (
        torch.tensor([[1.0], [-1.0]]).expand(2, 2),
        torch.tensor([[1.0, -1.0]]).expand(2, 2),
        stripes,
    )
    patterns = torch.stack([rows, columns, board]).repeat(1, 4, 4)
    return TensorSplit((x + 0.2 * patterns[y][:, None]).clamp(0, 1), y, torch.arange(n))


# A problem whose unrolled gradient is known: both losses are quadratic.
def problem():
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    weights = [draw(3).requires_grad_(), draw(2, 2).requires_grad_()]
    alphas = [draw(4).requires_grad_(), draw(2).requires_grad_()]
    mixing, target = draw(3, 4), draw(3)

    def learning():
        first = weights[0] * (mixing @ alphas[0].tanh()) - target
        return first.square().sum() + (weights[1].sum() * alphas[1].sum()).square()

    def judging():
        return (weights[0].sum() * alphas[0].sum() - 1).square() + weights[1].square().sum()

    return weights, alphas, learning, judging


@pytest.mark.oracle
def test_second_order_agrees_with_differentiating_through_the_step():
    weights, alphas, learning, judging = problem()
    kept = [w.detach().clone() for w in weights]
    found = unrolled_gradients(learning, judging, weights, alphas, rate=0.05)
    assert all(torch.equal(w, k) for w, k in zip(weights, kept, strict=True))  # put back
    steepest = torch.autograd.grad(learning(), weights, create_graph=True)
    stepped = [w - 0.05 * g for w, g in zip(weights, steepest, strict=True)]
    weights[:] = stepped  # the closures read the list
    exact = torch.autograd.grad(judging(), alphas)  # through the step to both
    for one, other in zip(found, exact, strict=True):
        # a central difference over 0.01: its error is about 1e-4 of the third derivative
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3)
    first = unrolled_gradients(*_fresh(), rate=0.0)
    assert any(not torch.allclose(a, b, rtol=0.05) for a, b in zip(first, exact, strict=True))


def _fresh():
    weights, alphas, learning, judging = problem()
    return learning, judging, weights, alphas


@pytest.mark.oracle
def test_first_order_is_the_plain_gradient():
    learning, judging, weights, alphas = _fresh()
    found = unrolled_gradients(learning, judging, weights, alphas, rate=0.0)
    (plain,) = torch.autograd.grad(judging(), alphas[:1])
    assert torch.equal(found[0], plain)
    assert not found[1].any()  # which the judging loss does not see directly


def test_genotype_keeps_the_two_strongest_edges_and_never_nothing():
    cells = space("identity", "conv3x3", n_nodes=2)
    alpha = torch.tensor(
        [
            [0.0, 1.0, 9.0],  # state 0 to node 0: only "none" is strong
            [2.0, 0.0, 0.0],
            [0.0, 3.0, 0.0],  # state 0 to node 1
            [0.0, 0.0, 0.0],  # the weakest
            [4.0, 0.0, 0.0],  # node 0 to node 1
        ]
    )
    code = genotype(cells, {"normal": alpha})
    assert cells.nodes(code, "normal") == [
        [0, "conv3x3", 1, "identity"],
        [0, "conv3x3", 2, "identity"],
    ]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.slow
def test_the_operation_that_sees_the_classes_wins(order, generator):
    # Means over 3x3 pixels wash stripes of one pixel out; a convolution sees them.
    found = darts(
        space("avgpool3x3", "conv3x3"), edges(200, generator), schema=SCHEMA, steps=60, seed=0,
        order=order, alpha_rate=0.1, warm_up=0.2,
    )  # fmt: skip
    nodes = space("avgpool3x3", "conv3x3").nodes(found.code, "normal")
    assert "conv3x3" in nodes[0]
    first, last = found.moments[0][1]["normal"], found.moments[-1][1]["normal"]
    assert found.stopped == "steps" and found.steps == 60
    assert max(row[1] for row in last) > max(row[1] for row in first)
    assert all(math.isclose(sum(row), 1, abs_tol=1e-5) for row in last)


def test_same_seed_same_search(generator):
    train = edges(24, generator)
    search = lambda seed: darts(  # noqa: E731
        space("identity", "conv3x3"), train, schema=SCHEMA, steps=3, seed=seed, warm_up=0.0,
        p_drop_skip=0.3,
    )  # fmt: skip
    assert search(0) == search(0)
    assert search(0).moments != search(1).moments


def test_search_stops_before_a_cell_of_skips(generator):
    only = space("identity", "avgpool3x3")
    found = darts(
        only, edges(24, generator), schema=SCHEMA, steps=4, seed=0, warm_up=0.0, most_skips=-1
    )
    assert (found.stopped, found.steps, len(found.moments)) == ("skips", 1, 1)


def test_skips_are_dropped_and_nothing_else(generator):
    x = torch.ones(200, 2, 3, 3)
    with seeded(0):
        dropped = _drop_skip(x, torch.nn.Identity(), p_drop=0.25)
        assert torch.equal(_drop_skip(x, torch.nn.ReLU(), p_drop=0.25), x)
    kept = dropped[:, 0, 0, 0]
    assert set(kept.tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert 0.1 < (kept == 0).float().mean() < 0.4  # 200 draws: 0.25 with 5 standard errors


@pytest.mark.slow
def test_second_order_is_not_disturbed_by_dropped_skips(generator):
    # With other noise on either side, a difference of 0.01 / |g| would be noise times a hundred.
    train = edges(40, generator)
    found = darts(
        space("identity", "conv3x3"), train, schema=SCHEMA, steps=6, seed=0, order=2, warm_up=0.0,
        p_drop_skip=0.5, alpha_rate=1e-3, alpha_decay=0.0,
    )  # fmt: skip
    plain = darts(
        space("identity", "conv3x3"), train, schema=SCHEMA, steps=6, seed=0, order=1, warm_up=0.0,
        p_drop_skip=0.5, alpha_rate=1e-3, alpha_decay=0.0,
    )  # fmt: skip
    moves = [
        torch.tensor(f.moments[-1][1]["normal"]) - torch.tensor(f.moments[0][1]["normal"])
        for f in (found, plain)
    ]
    assert torch.cosine_similarity(moves[0].flatten(), moves[1].flatten(), dim=0) > 0.5


def test_halves_share_no_row_and_each_row_comes_once_a_pass(generator):
    train = TensorSplit(torch.arange(10.0)[:, None], torch.arange(10), torch.arange(10))
    batches = HalvedBatches(train, 2, seed=0)
    seen = [[], []]
    for half in (0, 1):
        for _ in range(2):
            x, y = batches.next(half)
            assert torch.equal(x[:, 0].long(), y) and len(y) == 2
            seen[half] += y.tolist()
    assert all(len(set(rows)) == 4 for rows in seen)
    assert not set(seen[0]) & set(seen[1])
    assert len(HalvedBatches(train, 99, seed=0).next(0)[1]) == 5


def test_strategy_proposes_the_genotype_and_then_its_like(generator):
    search = Darts(
        space("identity", "conv3x3", "conv1x1"), train=edges(24, generator), schema=SCHEMA,
        n_candidates=3, steps=2, seed=0, warm_up=0.0,
    )  # fmt: skip
    assert isinstance(search, Strategy)
    assert search.remaining == 3.0
    candidates = [search.ask() for _ in range(3)]
    assert search.searched is not None
    assert candidates[0].design == space("identity", "conv3x3", "conv1x1").design(
        search.searched.code
    )
    assert len({c.design.name for c in candidates}) == 3
    assert search.ask() is None
    for candidate in candidates:
        search.tell(candidate, {"accuracy": about(0.5, 0.1)})
    assert search.remaining == 0
    with pytest.raises(ValueError, match="was told before"):
        search.tell(candidates[0], {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 3}, "`order` must be 1 or 2; got 3"),
        ({"steps": 0}, "`steps` must be at least 1; got 0"),
        ({}, "at least 4 rows, to be halved; got 3"),
    ],
)
def test_arguments_must_make_sense(arguments, message, generator):
    with pytest.raises(ValueError, match=message):
        darts(
            space("conv3x3"),
            edges(3, generator),
            schema=SCHEMA,
            seed=0,
            **{"steps": 2, **arguments},
        )
