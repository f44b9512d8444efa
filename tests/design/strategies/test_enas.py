import pytest
import torch

from netwright.design import Strategy
from netwright.design.strategies import Enas, share_weights

from ..samples import about
from .test_darts import SCHEMA, edges, space

SEES = space("avgpool3x3", "conv3x3")


@pytest.mark.slow
def test_shared_weights_rank_what_sees_the_classes_first(generator):
    shared = share_weights(
        SEES, edges(200, generator), schema=SCHEMA, steps=80, seed=0, controller_rate=0.0
    )
    blind, seeing = shared.loss((0, 0, 1, 0)), shared.loss((0, 1, 1, 1))
    assert seeing < blind
    assert shared.loss((0, 1, 1, 1)) == seeing  # asking changes nothing


@pytest.mark.slow
def test_controller_learns_what_the_shared_weights_say(generator):
    shared = share_weights(
        SEES, edges(200, generator), schema=SCHEMA, steps=120, seed=0, controller_rate=5e-2,
        entropy=0.0, warm_up=0.3,
    )  # fmt: skip
    codes = shared.controller.sample(200, generator=generator)
    has_convolution = ((codes[:, 1] == 1) | (codes[:, 3] == 1)).float().mean()
    assert has_convolution > 0.85  # 0.75 at random; 3 standard errors of 200 draws are 0.09


def test_same_seed_same_weights(generator):
    train = edges(24, generator)
    found = [
        share_weights(SEES, train, schema=SCHEMA, steps=4, seed=seed).network.state_dict()
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    assert any(not torch.equal(found[0][key], found[2][key]) for key in found[0])


def test_strategy_proposes_children_in_the_order_of_the_shared_weights(generator):
    search = Enas(
        SEES, train=edges(24, generator), schema=SCHEMA, n_candidates=2, steps=4, n_ranked=12,
    )  # fmt: skip
    assert isinstance(search, Strategy)
    first, second = search.ask(), search.ask()
    assert first.design.name != second.design.name
    assert search.ask() is None and search.remaining == 2
    codes = [SEES.canonical(c) for c in ((a, b, c, d) for a in (0, 1) for b in (0, 1)
                                         for c in (0, 1) for d in (0, 1))]  # fmt: skip
    losses = {SEES.design(code).name: search.shared.loss(code) for code in codes}
    assert losses[first.design.name] <= losses[second.design.name]
    search.tell(first, {"accuracy": about(0.5, 0.1)})
    assert search.remaining == 1


def test_a_space_with_one_network_is_soon_empty(generator):
    search = Enas(
        space("conv3x3"), train=edges(24, generator), schema=SCHEMA, n_candidates=9, steps=1,
        n_ranked=9,
    )  # fmt: skip
    found = []
    while (candidate := search.ask()) is not None:
        found.append(candidate)
        search.tell(candidate, {})
    assert len(found) <= 3  # inputs (0, 0), (0, 1) and (1, 1)
    assert search.remaining == 0


def test_fewer_ranked_than_asked_for_is_refused(generator):
    with pytest.raises(ValueError, match="at least the 9 `n_candidates`; got 3"):
        Enas(SEES, train=edges(9, generator), schema=SCHEMA, n_candidates=9, n_ranked=3)
