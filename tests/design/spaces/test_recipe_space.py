import itertools

import pytest

from netwright.data import Schema
from netwright.design import design_from_json, design_to_json
from netwright.design.spaces import (
    Decision,
    Space,
    count,
    joined,
    recipe_decisions,
    tiny_cell_space,
)
from netwright.learn import _augment, _augment_series

from ..samples import CLASS, INPUTS, LABELS

SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)
TINY = tiny_cell_space(SCHEMA)


def named(schema):
    return {d.name: d for d in recipe_decisions(schema)}


def test_what_can_be_decided_depends_on_the_task():
    assert set(named(SCHEMA)) == {
        "learning_rate", "weight_decay", "batch_size", "augment", "label_smoothing", "mixup",
    }  # fmt: skip
    assert "augment" not in named(Schema(INPUTS["text"], CLASS))
    assert "mixup" not in named(Schema(INPUTS["text"], CLASS))
    assert "label_smoothing" not in named(Schema(INPUTS["image 1x8x8"], LABELS))


@pytest.mark.parametrize("where", ["image 1x8x8", "image 3x32x32"])
def test_augmentations_exist_and_grow_stronger(where):
    *options, trivial, learned = named(Schema(INPUTS[where], CLASS))["augment"].options
    assert all(hasattr(_augment, name) for option in options for name in option)
    assert [len(option) for option in options] == sorted(len(option) for option in options)
    assert ("flip" in options[-1]) == (where == "image 3x32x32")
    assert (trivial, learned) == (("trivial",), ("learned",))


def test_sequences_have_augmentations_of_their_own():
    decisions = named(Schema(INPUTS["sequence 2x24"], CLASS))
    options = decisions["augment"].options
    assert {name for option in options for name in option} == set(_augment_series.__all__)
    assert [len(option) for option in options] == sorted(len(option) for option in options)
    assert "mixup" not in decisions


def test_joined_space_decides_both():
    decisions = (Decision("learning_rate", (1e-3, 1e-2)), Decision("augment", ((), ("shift",))))
    space = joined(TINY, decisions)
    assert isinstance(space, Space)
    assert count(space) == 12500
    code = (2, 1, 0, 2, 3, 1, 1)
    design = space.design(code)
    assert (design.recipe.learning_rate, design.recipe.augment) == (1e-2, ("shift",))
    assert design.parameters == TINY.design(code[:5]).parameters
    assert design.recipe.weight_decay == TINY.design(code[:5]).recipe.weight_decay
    assert space.canonical(code) == (*TINY.canonical(code[:5]), 1, 1)
    assert design_from_json(design_to_json(design)) == design
    names = {
        space.design((0, 2, 0, 0, 1, *rest)).name for rest in itertools.product((0, 1), (0, 1))
    }
    assert len(names) == 4


def test_what_is_no_recipe_is_refused():
    with pytest.raises(ValueError, match="named after fields of `Recipe`; got 'rate'. Known: opt"):
        joined(TINY, (Decision("rate", (1e-3,)),))
    with pytest.raises(ValueError, match="`learning_rate` must be positive; got 0"):
        joined(TINY, (Decision("learning_rate", (0.0, 1.0)),))
    with pytest.raises(ValueError, match="has 6 numbers; got 5"):
        joined(TINY, (Decision("learning_rate", (1.0,)),)).design((0, 0, 0, 0, 0))
