import pytest
import torch

from netwright._rng import seeded
from netwright.nn import StochasticDepth, TokenDropout


def test_nothing_happens_outside_training():
    branch, tokens = torch.ones(5, 3), torch.ones(5, 3, dtype=torch.int64)
    assert StochasticDepth(0.9).eval()(branch) is branch
    assert TokenDropout(0.9).eval()(tokens) is tokens
    assert StochasticDepth().train()(branch) is branch
    assert TokenDropout().train()(tokens) is tokens


def test_an_example_loses_its_whole_branch_or_none_of_it():
    with seeded(0):
        found = StochasticDepth(0.25)(torch.ones(4000, 2, 3, dtype=torch.float64))
    flat = found.flatten(1)
    assert found.dtype == torch.float64
    assert torch.equal(flat, flat[:, :1].expand_as(flat))
    assert set(flat[:, 0].tolist()) == {0.0, 1 / 0.75}
    # 4 standard errors: 4 * sqrt(0.25 * 0.75 / 4000) = 0.027, divided by the survival of 0.75
    assert found.mean().item() == pytest.approx(1.0, abs=0.037)


def test_left_out_tokens_are_padding():
    with seeded(0):
        found = TokenDropout(0.25)(torch.full((40, 100), 7))
    assert found.dtype == torch.int64
    assert set(found.flatten().tolist()) == {0, 7}
    # 4 standard errors of a share of 4000
    assert (found == 0).double().mean().item() == pytest.approx(0.25, abs=0.028)


def test_same_seed_same_choice():
    layer, tokens = TokenDropout(0.5), torch.ones(4, 20, dtype=torch.int64)
    found = []
    for seed in (0, 0, 1):
        with seeded(seed):
            found.append(layer(tokens))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("layer", [StochasticDepth, TokenDropout])
@pytest.mark.parametrize("p_drop", [-0.1, 1.0, float("nan")])
def test_probability_must_be_below_one(layer, p_drop):
    with pytest.raises(ValueError, match="`p_drop` must be a probability below 1; got"):
        layer(p_drop)


def test_repr_shows_the_probability():
    assert repr(StochasticDepth(0.2)) == "StochasticDepth(p_drop=0.2)"
    assert repr(TokenDropout(0.2)) == "TokenDropout(p_drop=0.2)"
