import json
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.design import Design, design_from_json, design_to_json
from netwright.learn import Recipe

DESIGN = Design("mine", "small_cnn", {"stem": 4, "widths": [4, 8], "p_drop": 0.5}, Recipe())
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def changed(**entries):
    content = json.loads(design_to_json(DESIGN))
    for name, value in entries.items():
        if value is ...:
            del content[name]
        else:
            content[name] = value
    return json.dumps(content)


def with_recipe(**entries):
    recipe = json.loads(design_to_json(DESIGN))["recipe"]
    return changed(recipe={**recipe, **entries})


@settings(deadline=None)
@given(st.text(), st.text(), st.dictionaries(st.text(), PLAIN, max_size=3))
def test_a_design_comes_back_equal(name, family, parameters):
    design = Design(name, family, parameters)
    again = design_from_json(design_to_json(design))
    assert again == design
    assert design_to_json(again) == design_to_json(design)


def test_every_entry_of_the_recipe_comes_back():
    recipe = Recipe("sgd", 0.1, 0.25, "cosine", 7, 0.125, 0.5, ("flip", "cutout"), 2.0, 0.75, 3)
    recipe = replace(recipe, epochs=9, adversarial="pgd", radius=0.1)
    recipe = replace(recipe, attack_norm="l2", attack_steps=2)
    other = replace(recipe, adversarial="", attack_norm="linf", certified="ibp")
    assert all(
        getattr(recipe, f.name) != f.default or getattr(other, f.name) != f.default
        for f in fields(Recipe)
    )
    for one in (recipe, other):
        again = design_from_json(design_to_json(Design("x", "y", {}, one))).recipe
        assert again == one
        assert type(again.augment) is tuple


def test_text_is_sorted_and_stable():
    text = design_to_json(DESIGN)
    assert list(json.loads(text)) == sorted(json.loads(text))
    other = Design("mine", "small_cnn", {"p_drop": 0.5, "widths": [4, 8], "stem": 4}, Recipe())
    assert design_to_json(other) == text


@pytest.mark.parametrize(
    ("value", "where"),
    [((4, 8), "parameters['a']"), ([1, {2: 3}], "parameters['a'][1]"),
     ({"b": object()}, "parameters['a']['b']")],
)  # fmt: skip
def test_what_json_cannot_hold_is_a_type_error_that_says_where(value, where):
    with pytest.raises(TypeError) as caught:
        design_to_json(Design("mine", "x", {"a": value}))
    assert f"`{where}` of design 'mine'" in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_numbers_must_be_finite(value):
    with pytest.raises(ValueError, match="of design 'mine' must be finite"):
        design_to_json(Design("mine", "x", {"a": value}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "A design must be JSON"),
        ("[]", "A design must be a JSON object"),
        ("3", "A design must be a JSON object"),
        (changed(family=...), "missing: family; unknown: none"),
        (changed(famly="x"), "missing: none; unknown: famly"),
        (changed(version=2), "`version` of a design must be 1; got 2"),
        (changed(name=3), "`name` of a design must be str; got 3"),
        (changed(parameters=[]), "`parameters` of a design must be dict"),
        (changed(recipe=3), "`recipe` must be a JSON object"),
        (with_recipe(speed=1), "unknown: speed"),
        (with_recipe(batch_size=1.5), "`batch_size` of a recipe must be int; got 1.5"),
        (with_recipe(batch_size=True), "`batch_size` of a recipe must be int; got True"),
        (with_recipe(batch_size=0), "`batch_size` must be at least 1"),
        (with_recipe(learning_rate="fast"), "`learning_rate` of a recipe must be float"),
        (with_recipe(augment="flip"), "`augment` of a recipe must be a list of text"),
        (with_recipe(augment=[1]), "`augment` of a recipe must be a list of text"),
        (with_recipe(optimizer=None), "`optimizer` of a recipe must be str"),
        (changed(parameters={"p_drop": math.nan}), "NaN"),
        (with_recipe(label_smoothing=math.inf), "Infinity"),
    ],
)
def test_anything_unexpected_is_an_error(text, message):
    with pytest.raises(ValueError) as caught:
        design_from_json(text)
    assert message in str(caught.value)


def test_a_whole_number_is_read_as_a_float():
    recipe = design_from_json(with_recipe(learning_rate=1)).recipe
    assert type(recipe.learning_rate) is float


def test_a_recipe_of_an_earlier_version_is_read():
    content = json.loads(with_recipe(learning_rate=0.5))
    for later in ("certified", "epochs", "augment"):
        del content["recipe"][later]
    assert design_from_json(json.dumps(content)).recipe == Recipe(learning_rate=0.5)
