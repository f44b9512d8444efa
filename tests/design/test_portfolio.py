import pytest
import torch

from netwright import learn
from netwright.data import Input, Schema
from netwright.design import (
    build_network,
    design_from_json,
    design_to_json,
    portfolio,
    provable_portfolio,
)
from netwright.learn import _augment_series
from netwright.learn._bounds import bounded, margins, require_bounds

from .samples import CLASS, INPUTS, VALUE, rows_for

SIZES = (1, 300, 3_000, 15_000, 100_000)
CHAINS = {
    length: Input("text", (length,), vocabulary=tuple("CcNOno()=#1234"), tokens="characters")
    for length in (9, 2_048)
}
LARGE_TEXT = Input("text", (9,), vocabulary=tuple(f"word{i}" for i in range(5_000)))
EVERY = pytest.mark.parametrize("name", INPUTS)


def proposals(name):
    """Every portfolio for an input: all sizes of training split, classes and values."""
    for n_train in SIZES:
        for target in (CLASS, VALUE):
            yield target, portfolio(Schema(INPUTS[name], target), n_train)


def n_parameters(design, schema):
    network = build_network(design, schema, seed=0)
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("target", [CLASS, VALUE], ids=["class", "value"])
@pytest.mark.parametrize("n_train", [300, 15_000])
@pytest.mark.parametrize("name", [*INPUTS, "text of 5,000 words"])
def test_smallest_first(name, n_train, target):
    schema = Schema(INPUTS.get(name, LARGE_TEXT), target)
    sizes = [n_parameters(d, schema) for d in portfolio(schema, n_train)]
    assert sizes == sorted(sizes)


@EVERY
def test_several_designs_of_different_names(name):
    for _, designs in proposals(name):
        assert len(designs) >= 2
        assert len({d.name for d in designs}) == len(designs)
        assert all(design_from_json(design_to_json(d)) == d for d in designs)


@EVERY
def test_every_proposal_reads_the_task(name, generator):
    schema = Schema(INPUTS[name], CLASS)
    x = rows_for(schema, 2, generator)
    for n_train in (300, 100_000):
        for design in portfolio(schema, n_train):
            assert build_network(design, schema, seed=0).eval()(x).shape == (2, 3)


@EVERY
def test_what_recipes_name_exists(name):
    for _, designs in proposals(name):
        for recipe in (d.recipe for d in designs):
            for used in (recipe.optimizer, recipe.schedule, *recipe.augment):
                assert used in learn.__all__
                assert callable(getattr(learn, used))
            assert 0 <= recipe.label_smoothing < 1
            assert 0 <= recipe.average < 1


@EVERY
def test_grey_images_are_never_flipped_and_only_images_and_sequences_are_changed(name):
    for _, designs in proposals(name):
        for recipe in (d.recipe for d in designs):
            if INPUTS[name].kind == "sequence":
                assert set(recipe.augment) <= set(_augment_series.__all__) and recipe.mixup == 0
            elif INPUTS[name].kind != "image":
                assert recipe.augment == () and recipe.mixup == 0
            elif INPUTS[name].shape[0] == 1:  # digits: a mirror image means something else
                assert "flip" not in recipe.augment


@pytest.mark.parametrize(
    ("shape", "rate", "n_train", "families"),
    [
        ((1, 251), 0.0, 28, {"sequence_kernels"}),
        ((6, 100), 10.0, 150, {"sequence_kernels", "sequence_resnet"}),
        ((1, 140), 0.0, 300,
         {"sequence_kernels", "sequence_resnet", "sequence_inception", "sequence_gru"}),
        ((3, 3_000), 100.0, 300, {"sequence_resnet"}),
        ((4, 1_001), 100.0, 40, {"sequence_resnet"}),  # too many values for the kernels
        ((4, 1_000), 100.0, 200, {"sequence_kernels", "sequence_resnet", "sequence_inception"}),
        ((1, 1_001), 100.0, 4_999, {"sequence_kernels", "sequence_resnet"}),
        ((1, 401), 100.0, 5_000, {"sequence_resnet", "sequence_inception"}),
        ((1, 8_000), 8_000.0, 300, {"sequence_spectrogram"}),
        ((1, 44_100), 44_100.0, 30, {"sequence_spectrogram"}),
        ((1, 100), 8_000.0, 28, {"sequence_kernels"}),  # too short to be a picture
    ],
)  # fmt: skip
def test_families_for_sequences_fit_their_rows_length_and_rate(shape, rate, n_train, families):
    designs = portfolio(Schema(Input("sequence", shape, rate=rate), CLASS), n_train)
    assert {d.family for d in designs} == families
    assert all(d.parameters.get("window", 0) <= 512 for d in designs)


@EVERY
def test_values_get_no_smoothed_labels(name):
    for target, designs in proposals(name):
        assert target is CLASS or all(d.recipe.label_smoothing == 0 for d in designs)


@pytest.mark.parametrize("name", [name for name in INPUTS if "image" in name])
def test_provable_proposals_are_bounded_tightly_and_read_the_task(name, generator):
    schema = Schema(INPUTS[name], CLASS)
    x = rows_for(schema, 4, generator)
    for n_train in SIZES:
        designs = provable_portfolio(schema, n_train)
        assert [n_parameters(d, schema) for d in designs] == sorted(
            n_parameters(d, schema) for d in designs
        )
        assert len({d.name for d in designs}) == len(designs) >= 2
        for design in designs:
            network = build_network(design, schema, seed=0).eval()
            require_bounds(network, x)
            found = bounded(network, x, x - 0.01, x + 0.01)
            margins(found, torch.arange(4) % 3).sum().backward()
            assert not any("BatchNorm" in type(m).__name__ for m in network.modules())
            assert design_from_json(design_to_json(design)) == design
    assert portfolio(schema, 300) != provable_portfolio(schema, 300)


def test_only_images_are_proved():
    with pytest.raises(ValueError, match="reads image inputs; the task's input is of kind `text`"):
        provable_portfolio(Schema(INPUTS["text"], CLASS), 300)


@pytest.mark.parametrize("n_train", [0, -1])
def test_rows_are_needed(n_train):
    with pytest.raises(ValueError, match=f"`n_train` must be positive; got {n_train}"):
        portfolio(Schema(INPUTS["text"], CLASS), n_train)
    with pytest.raises(ValueError, match=f"`n_train` must be positive; got {n_train}"):
        provable_portfolio(Schema(INPUTS["image 1x8x8"], CLASS), n_train)


@pytest.mark.parametrize("target", [CLASS, VALUE], ids=["class", "value"])
def test_characters_get_wide_windows_and_long_runs(target, generator):
    schema = Schema(CHAINS[9], target)
    designs = {d.name: d for d in portfolio(schema, n_train=1_000)}
    assert max(designs["character CNN, medium"].parameters["windows"]) >= 9
    assert designs["linear in runs of characters"].parameters["longest"] == 5
    tokens = rows_for(schema, 3, generator)
    for design in designs.values():
        assert build_network(design, schema, seed=0).eval()(tokens).shape[0] == 3


def test_no_recurrence_walks_2048_characters():
    short, long = (
        {d.name for d in portfolio(Schema(CHAINS[length], CLASS), 1_000)} for length in CHAINS
    )
    assert short - long == {"character GRU"}
