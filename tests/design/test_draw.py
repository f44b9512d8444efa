from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.data import Input, Schema
from netwright.design import Design, blocks_of, build_network, draw

from .samples import CLASS, FAMILIES, INPUTS, MIXED, VALUE, reads

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('x')</script>&\"]]>"
SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)


def parsed(svg):
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    return root


def plain(root):
    return [element.tag.removeprefix(SVG) for element in root.iter()]


@pytest.mark.parametrize("target", [CLASS, VALUE], ids=["class", "value"])
@pytest.mark.parametrize("defaults", [True, False], ids=["defaults", "small"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_drawn_and_described(name, defaults, target):
    schema = Schema(next(i for where, i in INPUTS.items() if reads(name, where)), target)
    design = Design("x", name, {} if defaults else FAMILIES[name])
    network = build_network(design, schema, seed=0)
    root = parsed(draw(design, schema))
    assert draw(design, schema) == draw(network, schema)
    title, story = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby").split() == [title.get("id"), story.get("id")]
    total = sum(p.numel() for p in network.parameters())
    blocks = blocks_of(network, schema)
    assert title.text == f"The network: {len(blocks)} blocks, {total:,} parameters"
    assert story.text.count("; ") == len(blocks) + 1
    boxes = [g for g in root.findall(f"{SVG}g") if g.find(f"{SVG}title") is not None]
    assert len(boxes) == len(blocks) + 2  # and the input and the output
    height = float(root.get("viewBox").split()[3])
    for box in boxes:
        rect = box.find(f"{SVG}rect")
        assert 0 <= float(rect.get("y")) <= height - float(rect.get("height"))


@pytest.mark.parametrize("name", FAMILIES)
def test_blocks_end_in_the_outputs_and_count_weights_once(name):
    schema = Schema(next(i for where, i in INPUTS.items() if reads(name, where)), CLASS)
    network = build_network(Design("x", name, FAMILIES[name]), schema, seed=0)
    blocks = blocks_of(network, schema)
    modules = dict(network.named_modules())
    for block in blocks:
        own = sum(p.numel() for p in modules[block.path].parameters())
        assert block.n_parameters == own
    assert sum(b.n_parameters for b in blocks) <= sum(p.numel() for p in network.parameters())
    assert blocks[-1].shape[-1] == 3
    assert any(b.is_mixing for b in blocks)


def test_labels_say_what_layers_do():
    design = Design("x", "residual_cnn", {"widths": [4, 8], "blocks": [0, 1]})
    blocks = blocks_of(build_network(design, SCHEMA, seed=0), SCHEMA)
    assert [(b.label, b.shape, b.is_residual) for b in blocks] == [
        ("normalise each channel", (1, 8, 8), False),
        ("3×3 convolution, 4 channels, ReLU", (4, 8, 8), False),
        ("residual 3×3 convolution, 8 channels, halves", (8, 4, 4), True),
        ("average over the image", (8,), False),
        ("linear, 8 to 3", (3,), False),
    ]


def test_columns_are_counted_by_kind():
    schema = Schema(Input("table", (6,), columns=MIXED), CLASS)
    network = build_network(Design("x", "table_mlp"), schema, seed=0)
    assert blocks_of(network, schema)[0].label == "encode 4 numbers, 1 boolean, 1 category"


class Odd(nn.Module):
    def forward(self, x):
        return x


def test_hostile_names_are_escaped():
    with seeded(0):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    network.add_module(HOSTILE.replace(".", ""), type(HOSTILE, (Odd,), {})())
    svg = draw(network, SCHEMA)
    root = parsed(svg)
    assert "script" not in plain(root)
    assert "<script" not in svg
    shown = "".join(root.itertext())
    assert HOSTILE in shown  # as text


def test_drawing_leaves_the_network_as_it_was():
    network = build_network(Design("x", "residual_cnn"), SCHEMA, seed=0).train()
    before = {key: t.clone() for key, t in network.state_dict().items()}
    draw(network, SCHEMA)
    assert network.training and all(m.training for m in network.modules())
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(m._forward_hooks for m in network.modules())


def test_hooks_are_removed_when_the_network_fails():
    with seeded(0):
        network = nn.Sequential(nn.Linear(5, 3))
    with pytest.raises(RuntimeError):
        draw(network, SCHEMA)
    assert not any(m._forward_hooks for m in network.modules())


def test_networks_in_float64_are_drawn_too():
    network = build_network(Design("x", "small_cnn"), SCHEMA, seed=0).double()
    assert draw(network, SCHEMA) == draw(network.float(), SCHEMA)


def test_cells_are_shown_as_graphs():
    nodes = [[0, "sep5x5", 1, "identity"], [2, "avgpool3x3", 2, "conv1x1"]]
    design = Design("x", "cells", {"normal": nodes, "reduction": nodes, "n_reductions": 0})
    network = build_network(design, SCHEMA, seed=0)
    (cell,) = [b for b in blocks_of(network, SCHEMA) if b.graph is not None]
    assert cell.label == "cell of 2 nodes" and cell.is_mixing
    assert cell.graph.states == ("cell before", "last cell", "0", "1", "joined")
    assert cell.graph.edges == (
        (0, 2, "separable 5×5"),
        (1, 2, "as it is"),
        (2, 3, "mean 3×3"),
        (2, 3, "conv 1×1"),
        (2, 4, ""),
        (3, 4, ""),
    )
    shown = "".join(parsed(draw(network, SCHEMA)).itertext())
    assert all(name in shown for name in ("separable 5×5", "as it is", "joined"))


def test_edges_of_tiny_cells_are_shown():
    design = Design("x", "tiny_cells", {"edges": ["conv3x3", "none", "none", "avgpool3x3", "none"]})
    graphs = [b.graph for b in blocks_of(build_network(design, SCHEMA, seed=0), SCHEMA) if b.graph]
    assert len(graphs) == 2
    assert graphs[0].edges == ((0, 1, "conv 3×3"), (1, 3, "mean 3×3"))


def test_everything_of_a_graph_lies_inside_its_box():
    root = parsed(draw(Design("x", "cells"), SCHEMA))
    boxes = [g for g in root.findall(f"{SVG}g") if "cell of" in g.find(f"{SVG}title").text]
    assert len(boxes) == 3
    for box in boxes:
        frame, _, *inner = box.findall(f"{SVG}rect")
        left, top, width, height = (float(frame.get(n)) for n in ("x", "y", "width", "height"))
        assert len(inner) >= 4 + 5  # operations; inputs, nodes and the output
        for rect in inner:
            assert left <= float(rect.get("x"))
            assert float(rect.get("x")) + float(rect.get("width")) <= left + width
            assert top <= float(rect.get("y"))
            assert float(rect.get("y")) + float(rect.get("height")) <= top + height


def test_skip_connections_are_written_beside_their_layer():
    blocks = blocks_of(build_network(Design("x", "macro_cnn"), SCHEMA, seed=0), SCHEMA)
    labels = [b.label for b in blocks if "reads" in b.label]
    assert labels == ["3×3 convolution, 32 channels, ReLU, reads layer 0 too"]
