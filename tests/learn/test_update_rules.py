import pytest
import torch

from netwright.learn._update_rules import (
    BINARY,
    OPERANDS,
    UNARY,
    Moments,
    RuleOptimizer,
    Term,
    UpdateRule,
    apply_rule,
    formula,
)

SGD = UpdateRule((Term("g"),))
ADAM = UpdateRule((Term("m", "v", on_right="sqrt", joined="/"),))
POWER_SIGN = UpdateRule((Term("sign(g)", "sign(m)", joined="·"), Term("u", "g", "exp", joined="·")))


def trained_by(make, generator):
    start = torch.randn(5, 3, generator=generator)
    x, y = torch.randn(40, 5, generator=generator), torch.randn(40, 3, generator=generator)
    weight = start.requires_grad_(True)
    optimizer = make([weight])
    for _ in range(30):
        optimizer.zero_grad()
        (x @ weight - y).square().mean().backward()
        optimizer.step()
    return weight.detach()


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("rule", "rate", "peer"),
    [
        (SGD, 0.1, lambda w: torch.optim.SGD(w, lr=0.1)),
        (ADAM, 0.01, lambda w: torch.optim.Adam(w, lr=0.01, eps=1e-8)),
    ],
)
def test_known_rules_are_torchs_own(rule, rate, peer):
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    ours = trained_by(lambda w: RuleOptimizer(w, rule, learning_rate=rate), first)
    assert torch.allclose(ours, trained_by(peer, second), atol=1e-5)


@pytest.mark.oracle
def test_power_sign_is_its_formula(generator):
    weight = torch.randn(7, generator=generator)
    moments = Moments(weight)
    for _ in range(3):
        gradient = torch.randn(7, generator=generator)
        operands = moments.operands(weight, gradient)
    expected = torch.exp(gradient.sign() * operands["m"].sign()) * gradient
    assert torch.allclose(apply_rule(POWER_SIGN, operands), expected)


@pytest.mark.oracle
def test_averages_are_free_of_their_start():
    moments = Moments(torch.zeros(1))
    for _ in range(4):
        operands = moments.operands(torch.zeros(1), torch.full((1,), -2.0))
    found = [operands[name].item() for name in ("m", "v", "s")]
    assert found == pytest.approx([-2, 4, -8], rel=1e-4)


def test_a_rule_learns():
    torch_generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=torch_generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    weight = torch.zeros(4, 1, requires_grad=True)
    optimizer = RuleOptimizer([weight], POWER_SIGN, learning_rate=0.05)

    def closure():
        optimizer.zero_grad()
        loss = (x @ weight - y).square().mean()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(150)]
    assert losses[-1] < 0.01 * losses[0]


@pytest.mark.parametrize("unary", UNARY)
@pytest.mark.parametrize("binary", BINARY)
def test_every_word_of_the_language_computes_and_is_written(unary, binary, generator):
    weight = torch.randn(6, generator=generator)
    operands = Moments(weight).operands(weight, torch.randn(6, generator=generator))
    for operand in OPERANDS[:-1]:
        rule = UpdateRule((Term(operand, "g", unary, "x", binary), Term("u", "m", unary, "x", "-")))
        assert apply_rule(rule, operands).shape == (6,)
        assert operand in formula(rule) and "{}" not in formula(rule)


@pytest.mark.parametrize(
    ("rule", "written"),
    [
        (SGD, "g"),
        (ADAM, "m / √|v|"),
        (POWER_SIGN, "exp(sign(g) · sign(m)) · g"),
        (UpdateRule((Term("g", "m", joined="+"), Term("u", "v", joined="/"))), "(g + m) / v"),
        (UpdateRule((Term("g", "m", joined="+"), Term("u", on_left="-x"))), "−(g + m)"),
        (UpdateRule((Term("g", "m", joined="-"), Term("v", "u", joined="·"))), "v · (g - m)"),
    ],
)
def test_rules_are_printed_as_maths(rule, written):
    assert formula(rule) == str(rule) == written


def test_what_the_language_does_not_have_is_refused():
    with pytest.raises(ValueError, match="An update rule has no 'h'; known: g"):
        Term("h")
    with pytest.raises(ValueError, match="nor the first one use the one before"):
        UpdateRule((Term("u"),))
    with pytest.raises(ValueError, match="`terms` must not be empty"):
        UpdateRule(())
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        RuleOptimizer([torch.zeros(1, requires_grad=True)], SGD, learning_rate=0.0)
