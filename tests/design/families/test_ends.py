import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Input, Schema, Target
from netwright.design.families._ends import (
    assemble,
    first_image_layer,
    last_layers,
    require_kind,
    scale_back,
)

from ..samples import CLASS, INPUTS, LABELS, VALUE, VALUES

DIGITS = INPUTS["image 1x8x8"]


def test_the_right_kind_passes_and_another_is_told_what_fits():
    schema = Schema(DIGITS, CLASS)
    require_kind(schema, "image", "small_cnn")
    with pytest.raises(ValueError, match=r"reads table inputs; .*`image`\. `portfolio\(schema"):
        require_kind(schema, "table", "tabm")


def test_images_are_normalised_by_the_training_statistics():
    layer = first_image_layer(Schema(DIGITS, CLASS))
    assert (layer.mean.item(), layer.std.item()) == pytest.approx((0.3, 0.4))


def test_without_statistics_the_range_is_centred():
    layer = first_image_layer(Schema(Input("image", (3, 4, 4)), CLASS))
    white = layer(torch.ones(1, 3, 4, 4))
    assert torch.equal(white, -layer(torch.zeros(1, 3, 4, 4)))


def test_a_channel_without_deviation_is_only_centred():
    layer = first_image_layer(Schema(INPUTS["image 3x32x32"], CLASS))
    assert layer.std[2].item() == 1


@pytest.mark.parametrize("p_drop", [0.0, 0.5])
def test_head_has_one_output_for_each_class_label_or_value(p_drop):
    for target in (CLASS, LABELS, VALUE, VALUES):
        with seeded(0):
            layers = dict(last_layers(Schema(DIGITS, target), 7, p_drop))
        assert layers["head"].in_features == 7
        assert layers["head"].out_features == target.width
        assert ("drop" in layers) == (p_drop > 0)
        assert ("denormalise" in layers) == (target in (VALUE, VALUES))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (VALUES, [[1.5, -5.0]]),
        (Target("values", ("x", "y")), [[1.0, -1.0]]),
        (Target("values", ("x", "y"), mean=(2.0, 2.0), std=(0.0, 4.0)), [[3.0, -2.0]]),
    ],
    ids=["statistics", "none", "constant"],
)
def test_values_return_to_their_units(target, expected):
    ((name, layer),) = scale_back(Schema(DIGITS, target))
    assert name == "denormalise"
    assert layer(torch.tensor([[1.0, -1.0]])).tolist() == expected


def test_layers_run_in_order_under_their_names():
    chain = assemble(("one", nn.ReLU()), ("two", nn.Flatten()))
    assert [name for name, _ in chain.named_children()] == ["one", "two"]
    assert chain(torch.full((1, 2, 2), -1.0)).tolist() == [[0.0] * 4]
