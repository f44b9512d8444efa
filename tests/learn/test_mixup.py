import pytest
import torch
from torch.nn import functional

from netwright.learn import mixup


def test_blend_and_partners(generator):
    x = torch.rand(6, 1, 2, 2, generator=generator)
    mixed = mixup(x, alpha=0.4, generator=generator)
    expected = mixed.weight * x + (1 - mixed.weight) * x[mixed.partner]
    assert torch.allclose(mixed.x, expected, atol=1e-6)
    assert mixed.partner.sort().values.tolist() == list(range(6))


def test_same_generator_same_blend():
    x = torch.rand(5, 3, generator=torch.Generator().manual_seed(1))
    first, again, other = (
        mixup(x, alpha=1.0, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first.x, again.x) and first.weight == again.weight
    assert first.weight != other.weight


@pytest.mark.oracle
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_weight_has_the_moments_of_beta(alpha, generator):
    x = torch.zeros(1, 1)
    drawn = [mixup(x, alpha=alpha, generator=generator).weight for _ in range(4000)]
    weights = torch.tensor(drawn, dtype=torch.float64)
    variance = 1 / (4 * (2 * alpha + 1))
    # four standard errors: of the mean sqrt(variance / 4000) <= 0.0067, of the variance <= 0.0015
    assert weights.mean().item() == pytest.approx(0.5, abs=0.027)
    assert weights.var().item() == pytest.approx(variance, abs=0.006)


@pytest.mark.oracle
def test_expected_blend_is_the_batch_mean(generator):
    # E[w x_i + (1-w) x_j] over weights and partners: half x_i, half the batch mean.
    x = torch.rand(4, 2, generator=generator)
    blends = torch.stack([mixup(x, alpha=1.0, generator=generator).x for _ in range(4000)])
    expected = (x + x.mean(dim=0)) / 2
    # each coordinate spreads by less than 0.5: standard error 0.008; x4
    assert torch.allclose(blends.mean(dim=0), expected, atol=0.032)


@pytest.mark.oracle
def test_blended_loss_has_the_gradient_of_blended_targets(generator):
    y = torch.tensor([0, 2, 1, 1])
    mixed = mixup(torch.rand(4, 3, generator=generator), alpha=1.0, generator=generator)
    soft = functional.one_hot(y, 3).float()
    soft = mixed.weight * soft + (1 - mixed.weight) * soft[mixed.partner]

    def gradient(loss):
        logits = mixed.x.clone().requires_grad_()
        loss(logits).backward()
        return logits.grad

    def blended(logits):
        own, others = (functional.cross_entropy(logits, t) for t in (y, y[mixed.partner]))
        return mixed.weight * own + (1 - mixed.weight) * others

    expected = gradient(lambda logits: functional.cross_entropy(logits, soft))
    assert torch.allclose(gradient(blended), expected, atol=1e-6)  # float32 rounding


def test_alpha_must_be_positive():
    with pytest.raises(ValueError, match="`alpha` of mixup must be positive; got 0.0"):
        mixup(torch.zeros(2, 2), alpha=0.0)
