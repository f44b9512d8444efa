import pytest
import torch

from netwright._rng import seeded
from netwright.nn import StochasticDepth, TokenDropout


def test_whole_examples_lose_the_branch_and_the_rest_is_scaled_up():
    with seeded(0):
        dropped = StochasticDepth(0.25)(torch.ones(4000, 2, 3))
    per_example = dropped.flatten(1)
    assert (per_example.amax(1) == per_example.amin(1)).all()
    assert per_example[:, 0].unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    # 4 standard errors of a proportion of 0.75 among 4000
    assert (per_example[:, 0] > 0).float().mean().item() == pytest.approx(0.75, abs=0.028)


def test_nothing_is_dropped_in_eval_mode(generator):
    x = torch.rand(5, 3, generator=generator)
    tokens = torch.randint(1, 9, (5, 3), generator=generator)
    assert torch.equal(StochasticDepth(0.9).eval()(x), x)
    assert torch.equal(TokenDropout(0.9).eval()(tokens), tokens)


def test_tokens_become_padding():
    tokens = torch.full((100, 100), 7)
    with seeded(0):
        found = TokenDropout(0.4)(tokens)
    assert found.dtype == torch.int64
    assert set(found.unique().tolist()) == {0, 7}
    # 4 standard errors of a proportion of 0.4 among 10,000
    assert (found == 0).float().mean().item() == pytest.approx(0.4, abs=0.02)


def test_same_seed_drops_the_same():
    def draw(seed):
        with seeded(seed):
            return StochasticDepth(0.5)(torch.ones(64, 1))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("layer", [StochasticDepth, TokenDropout])
@pytest.mark.parametrize("p_drop", [1.0, -0.1, float("nan")])
def test_error_gives_argument_and_value(layer, p_drop):
    with pytest.raises(ValueError, match=f"`p_drop` must be a probability below 1; got {p_drop}"):
        layer(p_drop)
