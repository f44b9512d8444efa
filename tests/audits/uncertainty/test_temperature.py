import pytest
import torch

from netwright.audits.uncertainty import fit_temperature, fit_temperature_labels


def sampled(generator, n=20_000, n_classes=5):
    """Logits, and classes drawn from their own softmax: the right temperature is 1."""
    logits = 2 * torch.randn(n, n_classes, generator=generator)
    y = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits, y


@pytest.mark.oracle
@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_temperature_of_planted_overconfidence_is_recovered(true, generator):
    logits, y = sampled(generator)
    # 20,000 rows give 1 / T to about 1 %; three standard errors.
    assert fit_temperature(true * logits, y) == pytest.approx(true, rel=0.03)


@pytest.mark.oracle
def test_temperature_equals_a_brute_force_search(generator):
    logits, y = sampled(generator, n=2000)
    grid = torch.linspace(0.8, 1.25, 2001, dtype=torch.double)
    losses = [torch.nn.functional.cross_entropy(logits.double() / t, y) for t in grid]
    best = grid[torch.stack(losses).argmin()].item()
    # One pseudo-row in 2000 moves the optimum by less than the grid's 2e-4 times ten.
    assert fit_temperature(logits, y) == pytest.approx(best, abs=2e-3)


def test_labels_have_their_own(generator):
    logits = 2 * torch.randn(20_000, 3, generator=generator)
    y = (torch.rand(logits.shape, generator=generator) < logits.sigmoid()).float()
    assert fit_temperature_labels(2.5 * logits, y) == pytest.approx(2.5, rel=0.04)


def test_all_right_stays_finite_and_inside_the_bounds(generator):
    logits, _ = sampled(generator, n=50)
    temperature = fit_temperature(logits, logits.argmax(1))
    assert 0.05 < temperature < 1
    after = (logits / temperature).softmax(1).amax(1).mean()
    assert after < 0.999  # fifty rows do not prove more


def test_logits_that_say_nothing_of_the_truth_are_flattened(generator):
    logits, _ = sampled(generator, n=500)
    assert fit_temperature(logits, logits.argmin(1)) == pytest.approx(20.0)


def test_constant_logits_keep_their_temperature():
    assert fit_temperature(torch.ones(5, 3), torch.arange(5) % 3) == 1.0
    assert fit_temperature_labels(torch.zeros(5, 3), torch.ones(5, 3)) == 1.0


def test_huge_logits_do_not_overflow(generator):
    logits, y = sampled(generator)
    assert fit_temperature(1e4 * logits, y) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("logits", "message"),
    [(torch.zeros(0, 3), "at least one row"), (torch.tensor([[float("nan"), 0.0]]), "finite")],
)
def test_errors(logits, message):
    with pytest.raises(ValueError, match=f"`logits` must .*{message}"):
        fit_temperature(logits, torch.zeros(len(logits), dtype=torch.long))
