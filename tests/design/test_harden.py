import pytest

from netwright.data import Input, Schema
from netwright.design import Design, asks_for_proof, harden, portfolio, provable_portfolio
from netwright.learn import Recipe
from netwright.requirement import Requirement

from .samples import CLASS

SCHEMA = Schema(Input("image", (1, 28, 28)), CLASS)
DESIGNS = provable_portfolio(SCHEMA, 1000)


def ask(*texts, designs=DESIGNS):
    return harden(designs, [Requirement.parse(text) for text in texts])


def test_a_requirement_of_proof_has_designs_trained_by_their_bounds():
    found = ask("certified(linf=0.05) >= 0.9", "certified(linf=0.1) >= 0.6", "accuracy >= 0.9")
    assert [design.name for design in found] == [design.name for design in DESIGNS]
    for design, plain in zip(found, DESIGNS, strict=True):
        assert design.recipe.certified == "ibp" and not design.recipe.adversarial
        assert design.recipe.radius == pytest.approx(1.1 * 0.1)
        assert design.recipe.attack_norm == "linf"
        assert design.parameters == plain.parameters and not plain.recipe.certified


def test_what_is_trained_by_bounds_withstands_attacks_of_pixels_too():
    assert ask("certified(linf=0.05) >= 0.9", "robust(linf=0.1) >= 0.8")[0].recipe.radius > 0.1
    both = ask("certified(linf=0.05) >= 0.9", "robust(l2=1) >= 0.8")[0].recipe
    assert both.certified == "ibp" and both.radius == pytest.approx(0.055)


@pytest.mark.parametrize(
    "text", ["certified(linf=0) >= 0.9", "certified(linf=0.1) <= 0.9", "accuracy >= 0.9"]
)
def test_other_requirements_leave_designs_as_they_are(text):
    assert ask(text) == DESIGNS
    assert not asks_for_proof([Requirement.parse(text)])


def test_recipes_that_train_robustly_stay():
    adversarial = ask("robust(linf=0.1) >= 0.9")
    assert adversarial[0].recipe.adversarial == "trades"
    assert ask("certified(linf=0.1) >= 0.9", designs=adversarial) == adversarial
    proved = ask("certified(linf=0.1) >= 0.9")
    assert ask("robust(linf=0.3) >= 0.9", designs=proved) == proved
    assert asks_for_proof([Requirement.parse("certified(linf=0.1) >= 0.9")])


def test_what_cannot_be_had_with_bounds_is_left_out():
    colour = Schema(Input("image", (3, 32, 32)), CLASS)
    designs = portfolio(colour, 1000)
    assert designs[0].recipe.label_smoothing
    for design in ask("certified(linf=2/255) >= 0.3", designs=designs):
        assert design.recipe.label_smoothing == design.recipe.mixup == 0


def test_widths_are_not_learned_where_training_is_robust():
    asks = [Requirement.parse("robust(linf=4/255) >= 0.5")]
    design = Design("x", "residual_cnn", {}, Recipe(augment=("shift", "learned")))
    (hard,) = harden([design], asks)
    assert hard.recipe.augment == ("shift",) and hard.recipe.adversarial
    assert harden([design], [])[0].recipe.augment == ("shift", "learned")
