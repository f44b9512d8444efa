import itertools

import pytest
import torch

from netwright.design.strategies import Reinforce
from netwright.design.strategies._controller import Controller, clipped_loss, score_function_loss

from .hills import Hill, Nut, exactly, search


@pytest.fixture
def controller():
    return Controller(Hill(), hidden=8, seed=0)


def gradient(loss, controller):
    found = torch.autograd.grad(loss, list(controller.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


@pytest.mark.oracle
def test_probabilities_of_all_codes_add_up_to_one(controller):
    codes = itertools.product(*(range(len(d.options)) for d in Hill.decisions))
    decided = controller(torch.tensor(list(codes)))
    assert decided.log_p.exp().sum().item() == pytest.approx(1, abs=1e-4)
    # At first nothing is preferred: entropy is nearly that of equal chances.
    assert decided.entropy.mean().item() == pytest.approx(5 * 1.386 + 1.609, rel=0.01)


@pytest.mark.oracle
@pytest.mark.parametrize("baseline", [0.0, 0.4])
def test_the_expected_gradient_is_that_of_the_expected_reward(baseline):
    controller = Controller(Nut(), hidden=6, seed=1)
    codes = torch.tensor(list(itertools.product(range(2), repeat=2)))
    rewards = torch.tensor([0.1, 0.9, 0.3, 0.5])
    p = controller(codes).log_p.exp()
    exact = gradient((p * rewards).sum(), controller)
    # Four codes, each weighted by its probability instead of drawn as often.
    weights = 4 * p.detach() * (rewards - baseline)
    estimated = gradient(score_function_loss(controller(codes).log_p, weights), controller)
    assert torch.allclose(estimated, -exact, atol=1e-6)


@pytest.mark.oracle
def test_the_first_step_of_ppo_is_that_of_reinforce(controller, generator):
    codes = controller.sample(16, generator=generator)
    advantages = torch.randn(16, generator=generator)
    log_p = controller(codes).log_p
    first = gradient(clipped_loss(log_p, log_p.detach(), advantages, clip=0.2), controller)
    plain = gradient(score_function_loss(controller(codes).log_p, advantages), controller)
    assert torch.allclose(first, plain, atol=1e-6)


def test_ppo_gains_nothing_beyond_the_clip():
    before, good, bad = torch.zeros(1), torch.ones(1), -torch.ones(1)
    for log_p, advantage, expected in (
        (0.1, good, -1.105), (0.5, good, -1.2), (0.5, bad, 1.649), (-0.5, bad, 0.8)
    ):  # fmt: skip
        found = clipped_loss(torch.tensor([log_p]), before, advantage, clip=0.2)
        assert found.item() == pytest.approx(expected, abs=1e-3)


def test_sampling_follows_the_probabilities(generator):
    controller = Controller(Nut(), hidden=6, seed=1)
    with torch.no_grad():
        controller.heads[0].bias.copy_(torch.tensor([1.0, -1.0]))
    drawn = controller.sample(4000, generator=generator)
    codes = torch.tensor(list(itertools.product(range(2), repeat=2)))
    for code, log_p in zip(codes, controller(codes).log_p, strict=True):
        share = (drawn == code).all(dim=1).double().mean().item()
        assert share == pytest.approx(log_p.exp().item(), abs=0.03)  # 4 standard errors


@pytest.mark.parametrize("clip", [None, 0.2])
def test_history_shows_what_was_learned(clip):
    # Whatever has option 2 first is good.
    def measure(candidate):
        return {"accuracy": exactly(0.5 + 0.4 * (candidate.design.parameters["code"][0] == 2))}

    strategy = Reinforce(Hill(), n_candidates=120, seed=0, clip=clip)
    search(strategy, measure)
    first, last = strategy.history[0], strategy.history[-1]
    assert last.n_told <= 120 and len(strategy.history) >= 24
    assert last.probabilities[0][2] > 0.6 > 0.3 > first.probabilities[0][2]
    assert last.entropy < first.entropy
    assert all(sum(p) == pytest.approx(1, abs=1e-5) for p in last.probabilities)


@pytest.mark.parametrize("arguments", [{"batch": 0}, {"passes": 0}, {"clip": 0.0}])
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        Reinforce(Hill(), n_candidates=3, **arguments)
