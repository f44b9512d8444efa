import pytest
import torch

from netwright.data import Schema
from netwright.design import Design, build_network, families, family
from netwright.design.families import small_cnn

from .samples import CLASS, INPUTS

SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)


def test_names_resolve_against_the_catalogue():
    assert family("small_cnn") is small_cnn
    assert [family(name) for name in families.__all__]


def test_an_unknown_family_is_told_the_nearest_and_the_list():
    with pytest.raises(ValueError, match="No family is called `residual_cn`. Did you mean "
                       "`residual_cnn`.*Known: cells, .*, residual_cnn, .*, small"):  # fmt: skip
        family("residual_cn")
    with pytest.raises(ValueError, match="No family is called `zzz`. Known: cells, "):
        build_network(Design("x", "zzz"), SCHEMA, seed=0)


@pytest.mark.parametrize("name", ["assemble", "__doc__", "_small_cnn", "Ensemble"])
def test_what_is_no_family_cannot_be_named(name):
    with pytest.raises(ValueError, match="No family is called"):
        family(name)


def test_an_unknown_argument_is_told_the_nearest_and_the_design():
    design = Design("mine", "small_cnn", {"width": [4]})
    with pytest.raises(ValueError) as caught:
        build_network(design, SCHEMA, seed=0)
    assert str(caught.value) == (
        "Family `small_cnn` takes no `width` (design 'mine'). Did you mean `widths`? "
        "Known: stem, widths, strides, stem_stride, p_drop."
    )


def test_the_schema_is_no_argument_of_a_design():
    with pytest.raises(ValueError, match="takes no `schema`"):
        build_network(Design("mine", "small_cnn", {"schema": 1}), SCHEMA, seed=0)


def test_networks_are_on_the_cpu_in_float32_and_train():
    network = build_network(Design("x", "small_cnn"), SCHEMA, seed=0)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
