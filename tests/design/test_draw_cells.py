"""The cells of a network, each kind once."""

from xml.etree import ElementTree

from netwright.data import Schema
from netwright.design import Design, draw_cells
from netwright.report._drawing import inline_drawing

from .samples import CLASS, INPUTS

SVG = "{http://www.w3.org/2000/svg}"
SCHEMA = Schema(INPUTS["image 1x8x8"], CLASS)
NORMAL = [[0, "conv3x3", 1, "identity"], [1, "sep3x3", 2, "conv1x1"]]
REDUCTION = [[0, "conv5x5", 1, "avgpool3x3"], [1, "conv3x3", 2, "identity"]]


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_each_kind_is_drawn_once_and_says_where_it_stands():
    parameters = {"normal": NORMAL, "reduction": REDUCTION, "n_normal": 2, "n_reductions": 1}
    shown = texts(draw_cells(Design("x", "cells", parameters), SCHEMA))
    assert shown.count("joined") == 2
    assert "cells 1, 2, 4 and 5" in shown and "cell 3" in shown
    assert shown.count("conv 5×5") == 1 and shown.count("separable 3×3") == 1


def test_words_say_what_the_drawing_shows():
    design = Design("x", "cells", {"normal": NORMAL, "reduction": REDUCTION})
    story = ElementTree.fromstring(draw_cells(design, SCHEMA)).find(f"{SVG}desc").text
    assert "cell 2: 0 reads cell before by conv 5×5" in story
    assert "1 reads 0 by as it is" in story


def test_a_page_takes_it_beside_the_drawing_of_the_network():
    design = Design("x", "cells", {"normal": NORMAL, "reduction": REDUCTION})
    drawing = inline_drawing(draw_cells(design, SCHEMA), "cells")
    assert drawing.width == 800 and drawing.height > 300
    assert "network-arrow" not in drawing.markup  # ids must not occur twice in a page


def test_other_networks_have_none():
    assert draw_cells(Design("x", "residual_cnn", {}), SCHEMA) == ""
