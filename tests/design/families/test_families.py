"""Every family, for every input it reads and every kind of target."""

import inspect
import re

import pytest
import torch
from safetensors.torch import load, save

from netwright._rng import seeded
from netwright.data import Schema
from netwright.design import (
    Design,
    build_network,
    design_from_json,
    design_to_json,
    families,
    family,
)

from ..samples import CLASS, FAMILIES, INPUTS, TARGETS, reads, rows_for

CASES = [
    (name, where, TARGETS[kind])
    for name in FAMILIES
    for where in INPUTS
    for kind in (
        TARGETS if where in ("image 1x8x8", "sequence 2x24", "table mixed", "text") else ["class"]
    )
    if reads(name, where)
]
EVERY = pytest.mark.parametrize(
    ("name", "where", "target"), CASES, ids=lambda v: getattr(v, "kind", v)
)
# Weights that are drawn; the other families start from zeros, to be counted.
DRAWN = [name for name in FAMILIES if name != "text_linear"]


def schema_for(name, target=CLASS):
    return Schema(next(i for where, i in INPUTS.items() if reads(name, where)), target)


def build(name, schema, seed=0, defaults=False):
    return build_network(Design(name, name, {} if defaults else FAMILIES[name]), schema, seed=seed)


def shaken(network):
    """Move every parameter away from the zeros that some start at."""
    with seeded(9), torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def test_every_family_of_the_catalogue_is_tested():
    assert sorted(FAMILIES) == families.__all__


@EVERY
def test_one_tensor_in_one_tensor_out(name, where, target, generator):
    schema = Schema(INPUTS[where], target)
    for defaults in (False, True):
        if defaults and target is not CLASS:
            continue
        network = build(name, schema, defaults=defaults).eval()
        outputs = network(rows_for(schema, 5, generator))
        assert outputs.shape == (5, target.width)
        assert outputs.dtype == torch.float32
        assert outputs.isfinite().all()


@EVERY
def test_gradients_reach_every_parameter(name, where, target, generator):
    schema = Schema(INPUTS[where], target)
    network = shaken(build(name, schema)).train()
    with seeded(0):
        outputs = network(rows_for(schema, 32, generator))
    assert outputs.shape == (32, target.width)
    outputs.square().sum().backward()
    unreached = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []
    assert all(p.grad.isfinite().all() for p in network.parameters())


@EVERY
def test_float64_is_kept(name, where, target, generator):
    schema = Schema(INPUTS[where], target)
    network = shaken(build(name, schema)).eval()
    x = rows_for(schema, 4, generator)
    single = network(x)
    double = network.double()(x.double() if x.is_floating_point() else x)
    assert double.dtype == torch.float64
    # float32 sums of a few hundred terms, values of up to 30 a target
    torch.testing.assert_close(double.float(), single, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_do_not_depend_on_their_neighbours(name, generator):
    schema = schema_for(name)
    network = shaken(build(name, schema)).eval()
    x = rows_for(schema, 6, generator)
    together = network(x)
    alone = torch.cat([network(row[None]) for row in x])
    # float32 sums of some dozen terms of size 1, in another order
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_same_seed_same_weights_other_seed_others(name):
    schema = schema_for(name)
    first, again, other = (build(name, schema, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    if name in DRAWN:
        assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_survive_a_file(name, generator):
    schema = schema_for(name)
    network = shaken(build(name, schema)).eval()
    x = rows_for(schema, 4, generator)
    other = build(name, schema, seed=1).eval()
    assert not torch.equal(other(x), network(x))
    other.load_state_dict(load(save(network.state_dict())))
    assert torch.equal(other(x), network(x))


@pytest.mark.parametrize("name", FAMILIES)
def test_design_survives_json(name):
    design = Design(f"<{name}>", name, FAMILIES[name])
    again = design_from_json(design_to_json(design))
    assert again == design
    schema = schema_for(name)
    here, there = (build_network(d, schema, seed=3).state_dict() for d in (design, again))
    assert all(torch.equal(here[key], there[key]) for key in here)


@pytest.mark.parametrize("name", FAMILIES)
def test_values_start_near_their_mean(name, generator):
    schema = schema_for(name, TARGETS["value"])
    network = build(name, schema).eval()
    found = network(rows_for(schema, 50, generator))
    assert (found.mean() - 30).abs() < 2 * 5  # two standard deviations of the target


@pytest.mark.parametrize("name", FAMILIES)
def test_other_kinds_of_input_are_refused(name):
    where = next(where for where in INPUTS if not reads(name, where))
    kind = where.split()[0]
    refuses = FAMILIES[name].get("base", name)
    with pytest.raises(ValueError, match=rf"`{refuses}` reads \w+ inputs; .* of kind `{kind}`"):
        build(name, Schema(INPUTS[where], CLASS))


@pytest.mark.parametrize("name", FAMILIES)
def test_arguments_are_keywords_with_defaults(name):
    schema, *rest = inspect.signature(family(name)).parameters.values()
    assert schema.name == "schema"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in rest)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("residual_cnn", {"widths": [4, 8], "blocks": [1]}, "number for each of the 2 `widths`"),
        ("residual_cnn", {"widths": [], "blocks": []}, "one number for each of the 0 `widths`"),
        ("sequence_inception", {"depth": 0}, "must be at least 1; got 2 and 0"),
        ("sequence_inception", {"kernels": [4]}, "`kernels` must be odd numbers, one at least"),
        ("sequence_resnet", {"strides": [1]}, "one number for each of the 3 `widths`; got 1"),
        ("sequence_resnet", {"strides": [1, 3, 1]}, "`stride` must be 1 or 2; got 3"),
        ("sequence_spectrogram", {"blocks": []}, "one number for each of the 3 `widths`; got 0"),
        ("sequence_spectrogram", {"window": 15}, "`window` must be even"),
        ("small_cnn", {"widths": [4], "strides": [1, 2]}, "one number for each of the 1 `widths`"),
        ("tabm", {"n_members": 0}, "must be positive; got 0 and 2"),
        ("tabm", {"depth": 0}, "must be positive; got 16 and 0"),
        ("tabm", {"numbers": "piecwise"}, "got 'piecwise'. Did you mean `piecewise`?"),
        ("table_mlp", {"numbers": "xyz"}, "one of standard, piecewise, periodic; got 'xyz'"),
        ("text_bag", {"longest": 7}, "`longest` must be 1 to 6 tokens; got 7"),
        ("cells", {"normal": []}, "`normal` must have at least one node; got none"),
        ("cells", {"reduction": [[0, "identity", 2, "identity"]]}, "two states below 2, each"),
        ("cells", {"normal": [[0, "identity"]]}, "Node 0 of `normal` must be two states below 2"),
        ("cells", {"n_normal": 0, "n_reductions": 0}, "make no cell: both are 0"),
        ("macro_cnn", {"layers": []}, "`layers` must describe at least one layer; got none"),
        ("macro_cnn", {"layers": [{"width": 4}]}, "Layer 0 of `layers` has the entries operation"),
        ("macro_cnn", {"layers": [{"operation": "conv1x1", "width": 4, "stride": 3}]},
         "positive width and a stride of 1 or 2; got 4 and 3"),
        ("macro_cnn", {"layers": [{"operation": "conv1x1", "width": 4}] * 2
                       + [{"operation": "conv1x1", "width": 4, "skips": [1]}]},
         "`skips` of layer 2 must be increasing places of layers before the last one, from 0 to 0"),
        ("macro_mlp", {"layers": [{"operation": "liner", "width": 4}]}, "Did you mean `linear`?"),
        ("macro_mlp", {"layers": [{"operation": "linear", "width": 4, "stride": 2}]},
         "Rows have no size to halve"),
        ("plain_cnn", {"widths": [4]}, "one number for each of the 1 `widths`; got 2"),
        ("plain_cnn", {"widths": [4] * 4, "strides": [2] * 4},
         "`strides` shrink an image of 8 x 8 to nothing; got [2, 2, 2, 2]"),
        ("tiny_cells", {"edges": ["none"]}, "`edges` must name 5 operations; got 1"),
        ("tiny_cells", {"edges": ["conv3x4"] * 5}, "called `conv3x4`. Did you mean `conv3x3`?"),
        ("tiny_cells", {"widths": []}, "a number for each cell; got none"),
        ("tiny_cells", {"stem_stride": 0}, "`stem_stride` must be at least 1; got 0"),
        ("text_transformer", {"width": 9}, "`width` must be a multiple of the 4 heads"),
    ],
)  # fmt: skip
def test_arguments_must_make_sense(name, parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build_network(Design("x", name, parameters), schema_for(name), seed=0)


def test_a_linear_table_model_is_linear(generator):
    schema = Schema(INPUTS["table numbers"], CLASS)
    design = Design("linear", "table_mlp", {"depth": 0, "numbers": "standard"})
    network = build_network(design, schema, seed=0)
    x = 10 * torch.randn(2, 2, generator=generator)
    middle = network(x.mean(dim=0, keepdim=True))
    torch.testing.assert_close(middle[0], network(x).mean(dim=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", TARGETS)
def test_ensemble_asks_one_member_while_training_and_all_afterwards(kind, generator):
    schema = schema_for("tabm", TARGETS[kind])
    design = Design("x", "tabm", {**FAMILIES["tabm"], "p_drop": 0.0})
    network = shaken(build_network(design, schema, seed=0))
    x = rows_for(schema, 7, generator)
    encoded = network.encode(x)
    layers, heads = network.ensemble.layers, network.ensemble.heads
    members = heads(layers(encoded.unsqueeze(1)))
    scale = network.denormalise if kind in ("value", "values") else torch.nn.Identity()
    expected = torch.stack([members[row, row % 3] for row in range(7)])
    torch.testing.assert_close(network.train()(x), scale(expected), atol=1e-5, rtol=1e-5)
    found = network.eval()(x)
    if kind == "class":
        found, mean = found.softmax(1), members.softmax(2).mean(1)
    elif kind == "labels":
        found, mean = found.sigmoid(), members.sigmoid().mean(1)
    else:
        mean = scale(members.mean(1))
    torch.testing.assert_close(found, mean, atol=1e-5, rtol=1e-5)
