import torch

from netwright.learn import Recipe, fit
from tests.learn.conftest import DIGIT

RECIPE = Recipe(batch_size=100, average=0.9)


def test_learns_digits(digits, small_cnn):
    train, validation, _ = digits
    fitted = fit(small_cnn(), train, validation, target=DIGIT, recipe=RECIPE, steps=150, seed=0)
    # 15 passes bring this network to 0.97 to 0.98 over ten seeds; a linear model reaches 0.95.
    assert fitted.epochs[-1].validation_score >= 0.95
    assert (fitted.steps, fitted.stopped) == (150, "steps")


def test_same_seed_gives_the_same_bits_and_another_seed_does_not(digits, small_cnn):
    train, validation, _ = digits

    def weights(seed):
        fitted = fit(
            small_cnn(), train, validation, target=DIGIT, recipe=RECIPE, steps=60, seed=seed
        )
        return torch.cat([p.detach().flatten() for p in fitted.network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
