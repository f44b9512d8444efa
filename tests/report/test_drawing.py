from xml.etree import ElementTree

import pytest

from netwright.report._drawing import inline_drawing
from tests.report import samples


def svg(inside, **attributes):
    extra = "".join(f' {k}="{v}"' for k, v in attributes.items())
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"{extra}>{inside}</svg>'


def test_drawing_becomes_an_image_with_a_name():
    root = ElementTree.fromstring(inline_drawing(samples.DRAWING, "the network").markup)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label").startswith("Residual CNN")
    assert len(list(root.iter("rect"))) == 5
    assert ElementTree.fromstring(inline_drawing(svg(""), "n").markup).get("aria-label") == "n"


def test_text_is_kept_and_escaped_again():
    written = inline_drawing(svg("<text>&lt;script&gt;<tspan>a</tspan> &amp; b</text>"), "n").markup
    assert "<text>&lt;script&gt;<tspan>a</tspan> &amp; b</text>" in written


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<rect onclick="alert(1)"/>',
        '<a href="https://example.org"><rect/></a>',
        '<use href="https://example.org/x.svg#a"/>',
        '<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="data:text/html,x"/>',
        '<image href="x.png"/>',
        "<style>@import 'x'</style>",
        '<rect fill="url(https://example.org)"/>',
        '<rect style="background:\\75rl(x)"/>',
        "<foreignObject><p>x</p></foreignObject>",
        '<x:script xmlns:x="http://www.w3.org/1999/xhtml">alert(1)</x:script>',
        "<animate/>",
    ],
)
def test_anything_that_could_act_is_refused(inside):
    with pytest.raises(ValueError, match="`drawing` must"):
        inline_drawing(svg(inside), "n")


@pytest.mark.parametrize("text", ["", "<svg", "<p/>", "<!DOCTYPE svg><svg/>", svg("x" * 400_000)])
def test_other_documents_are_refused(text):
    with pytest.raises(ValueError, match="`drawing` must"):
        inline_drawing(text, "n")


def test_own_parts_may_be_referred_to():
    inside = '<defs><marker id="m"/></defs><path marker-end="url(#m)"/><use href="#m"/>'
    assert "url(#m)" in inline_drawing(svg(inside), "n").markup


@pytest.mark.parametrize(
    ("box", "size"),
    [("0 0 420 900", (420, 900)), ("0,0,8,4", (8, 4)), ("0 0 a b", (0, 0)), ("1 2", (0, 0)),
     ("0 0 1e9 5", (0, 0)), ("0 0 nan 5", (0, 0))],
)  # fmt: skip
def test_size_is_read_from_the_view_box(box, size):
    drawing = inline_drawing(f'<svg viewBox="{box}"/>', "n")
    assert (drawing.width, drawing.height) == size


def test_drawings_of_real_networks_pass():
    from netwright.data import load
    from netwright.design import draw, portfolio

    schema = load("digits").schema
    for design in portfolio(schema, 1000):
        drawing = inline_drawing(draw(design, schema), "n")
        assert drawing.height > 100
