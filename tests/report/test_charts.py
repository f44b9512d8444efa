import dataclasses
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.finding import Bars, Heatmap, Lines, Measurement, Picture, Points, Series
from netwright.report._charts import chart, figure
from netwright.report._interval import draw_interval
from netwright.report._svg import clean, element, shorten, shorten_middle, text_width
from netwright.report._xy import Guide, Pin, decimate
from tests.report import samples


def drawing(evidence, **more):
    return ElementTree.fromstring(chart(evidence, "c", **more).drawings[0])


def having(root, tag, class_):
    return [e for e in root.iter(tag) if class_ in e.get("class", "").split()]


def series(n, name="s"):
    return Series(name, tuple(map(float, range(n))), tuple(math.sin(k) for k in range(n)))


@given(st.integers(1, 3000), st.integers(0, 10**6))
def test_decimation_keeps_ends_and_extremes(n, seed):
    values = np.random.default_rng(seed).normal(size=n).tolist()
    spots = [(float(k), v, "") for k, v in enumerate(values)]
    kept = decimate(spots)
    assert len(kept) <= 400
    assert list(kept) == sorted(kept)
    assert set(kept) <= set(spots)
    assert (kept[0], kept[-1]) == (spots[0], spots[-1])
    heights = [p[1] for p in kept]
    assert (min(heights), max(heights)) == (min(values), max(values))


def test_a_spike_among_many_points_is_drawn():
    values = [0.0] * 5000
    values[2345] = 1.0
    root = drawing(
        Lines("t", "x", "y", (Series("s", tuple(map(float, range(5000))), tuple(values)),))
    )
    [path] = having(root, "path", "line")
    heights = [float(n) for n in re.findall(r"[\d.]+", path.get("d"))[1::2]]
    assert len(heights) <= 400
    assert min(heights) < max(heights) - 200  # up to the top of the chart, in its units


def test_line_rises_where_its_data_rise():
    root = drawing(Lines("t", "x", "y", (Series("s", (0.0, 1.0, 2.0), (0.0, 10.0, 5.0)),)))
    [path] = having(root, "path", "line")
    x1, y1, x2, y2, x3, y3 = (float(n) for n in re.findall(r"[\d.]+", path.get("d")))
    assert x1 < x2 < x3
    assert y2 < y3 < y1  # the view box counts downwards
    assert y3 == pytest.approx((y1 + y2) / 2, abs=0.1)  # coordinates have one decimal


def test_every_point_has_a_hover_text():
    points = Points("t", "x", "y", (Series("s", (1.0, 2.0), (3.0, 4.0), ("first", "second")),))
    [group] = having(drawing(points), "g", "points")
    assert [mark.find("title").text for mark in group] == ["first", "second"]
    [group] = having(drawing(Lines("t", "x", "y", (series(3),))), "g", "points")
    assert [m.find("title").text for m in group] == ["s: 0, 0", "s: 1, 0.84147", "s: 2, 0.9093"]


def test_cloud_is_thinned_but_keeps_its_outliers():
    xs = [float(k % 10) for k in range(5000)] + [99.0]
    ys = [float(k % 7) for k in range(5000)] + [-50.0]
    labels = tuple(str(k) for k in range(5001))
    root = drawing(Points("t", "x", "y", (Series("s", tuple(xs), tuple(ys), labels),)))
    titles = [m.find("title").text for g in having(root, "g", "points") for m in g]
    assert len(titles) == 400
    assert "5000" in titles


def test_few_lines_are_named_at_their_ends_many_in_a_legend():
    for n, direct in ((1, 0), (3, 3), (6, 0)):
        root = drawing(Lines("t", "x", "y", tuple(series(4, f"line {k}") for k in range(n))))
        assert len(having(root, "text", "name")) == direct
        assert len(having(root, "g", "key")) == (n if n > 4 else 0)


def test_labels_at_line_ends_keep_apart():
    flat = tuple(Series(f"line {k}", (0.0, 1.0), (0.0, 1.0 + k * 1e-6)) for k in range(4))
    root = drawing(Lines("t", "x", "y", flat))
    places = sorted(float(t.get("y")) for t in having(root, "text", "name"))
    assert all(b - a >= 12 for a, b in zip(places, places[1:], strict=False))


def test_points_that_cannot_be_drawn_are_counted_in_the_description():
    ys = (1.0, 0.0, math.nan, 10.0)
    root = drawing(Lines("t", "x", "y", (Series("s", (1.0, 2.0, 3.0, 4.0), ys),), log_y=True))
    assert "2 points of s cannot be drawn on these axes." in root.find("desc").text
    assert len(list(having(root, "g", "points")[0])) == 2


def test_bars_start_at_zero_and_lie_down_when_names_are_long():
    short = drawing(Bars("t", "class", "y", (Series("s", ("a", "b"), (1.0, 2.0)),)))
    [group] = having(short, "g", "bars")
    a, b = (float(r.get("height")) for r in group)
    assert b == pytest.approx(2 * a, abs=0.2)  # rounding of coordinates, twice
    long = drawing(Bars("t", "class", "y", (Series("s", ("a" * 70, "b" * 70), (1.0, 2.0)),)))
    a, b = (float(g[0].get("width")) for g in having(long, "g", "bars"))
    assert b == pytest.approx(2 * a, abs=0.2)


def test_bins_of_a_histogram_stand_side_by_side():
    names = tuple(f"{k / 30:.4f}" for k in range(30))
    root = drawing(Bars("t", "bin", "rows", (Series("s", names, (1.0,) * 30),)))
    [group] = having(root, "g", "bars")
    lefts = [float(r.get("x")) for r in group]
    assert lefts == sorted(lefts)
    assert len({r.get("width") for r in group}) == 1


@pytest.mark.parametrize("names", [("0.03", "0.x"), ("a", "bb"), ("0.0333", "zz")])
def test_names_that_have_room_are_written_whole(names):
    bars = Bars("t", "class", "y", (Series("s", (*names, "a name so long that bars lie down " * 2),
                                           (1.0, 2.0, 3.0)),))  # fmt: skip
    texts = [t.text for t in drawing(bars).iter("text")]
    assert set(names) <= set(texts)


def test_confusion_matrix_sets_mistakes_apart():
    names = ("cat", "dog")
    root = drawing(Heatmap("t", "predicted", "true", names, names, ((90.0, 1.0), (0.0, 80.0))))
    assert len(having(root, "rect", "heat")) == 2
    [mistake] = having(root, "rect", "error")
    assert mistake.find("title").text == "true cat, predicted dog: 1"
    assert "170 of 171 lie on the diagonal" in root.find("desc").text


def test_matrix_of_other_numbers_is_no_confusion_matrix():
    names = ("a", "b")
    root = drawing(Heatmap("t", "x", "y", names, names, ((1.0, -0.5), (-0.5, 1.0))))
    assert [r.find("title").text for r in having(root, "rect", "error")] == [
        "y a, x b: −0.5",
        "y b, x a: −0.5",
    ]


def test_cells_too_small_for_numbers_get_a_key():
    view = samples.many_classes()
    root = drawing(view.findings[0].evidence[0])
    texts = [t.text for t in root.iter("text")]
    assert "hits to 99" in texts
    assert "mistakes to 5" in texts


def test_bounds_tint_the_side_they_allow():
    points = Points("t", "size", "accuracy", (Series("s", (0.0, 100.0), (0.0, 100.0)),))
    guides = (Guide("x", 50.0, "below", "size"), Guide("y", 90.0, "above", "accuracy"))
    root = drawing(points, guides=guides, pins=(Pin(0.0, 0.0, "chosen"),))
    [tint] = having(root, "rect", "allowed")
    dots = sorted((float(c.get("cx")), float(c.get("cy"))) for c in having(root, "g", "points")[0])
    left, top = float(tint.get("x")), float(tint.get("y"))
    right, bottom = left + float(tint.get("width")), top + float(tint.get("height"))
    middle = (dots[0][0] + dots[1][0]) / 2
    assert left <= dots[0][0] < right == pytest.approx(middle, abs=0.2)
    assert top < dots[1][1] < bottom < dots[0][1]
    assert [t.text for t in having(root, "text", "pin")] == ["chosen"]


def test_drawings_for_desk_and_phone_say_the_same():
    wide, narrow = (ElementTree.fromstring(d) for d in chart(samples.training_loss(), "c").drawings)
    assert (wide.get("class"), narrow.get("class")) == ("chart wide", "chart narrow")
    assert wide.find("desc").text == narrow.find("desc").text
    assert float(narrow.get("width")) <= 340


def text_boxes(root):
    anchors = {"end": -1.0, "mid": -0.5}
    for text in root.iter("text"):
        if text.get("transform") or not text.text:
            continue
        width = text_width(text.text, 11 if "small" in text.get("class", "") else 12)
        shift = next((anchors[c] for c in text.get("class", "").split() if c in anchors), 0.0)
        left = float(text.get("x")) + shift * width
        yield left, left + width, float(text.get("y")), text.text


@pytest.mark.parametrize("name", [n for n in samples.VIEWS if n != "awkward"])
def test_no_text_leaves_its_drawing(name):
    for finding in samples.VIEWS[name]().findings:
        for evidence in finding.evidence:
            for svg in figure(evidence, "f").drawings:
                root = ElementTree.fromstring(svg)
                _, _, width, height = map(float, root.get("viewBox").split())
                for left, right, base, text in text_boxes(root):
                    assert left >= -12, text  # widths are estimates, on the wide side
                    assert right <= width + 12, text
                    assert 8 <= base <= height, text


def interval(measurement, **more):
    return ElementTree.fromstring(draw_interval(measurement, "n", **more))


def test_interval_stands_on_the_right_side_of_its_bound():
    measured = Measurement(0.947, 0.919, 0.966, 360)
    root = interval(measured, comparison=">=", bound=0.95, verdict="undecided")
    [span], [limit], [dot] = (having(root, t, c) for t, c in
                              (("rect", "span"), ("line", "limit"), ("circle", "dot")))  # fmt: skip
    start, x = float(span.get("x")), float(limit.get("x1"))
    assert start < float(dot.get("cx")) < x < start + float(span.get("width"))
    [zone] = having(root, "rect", "zone")
    assert float(zone.get("x")) == x
    met = interval(dataclasses.replace(measured, low=0.96, value=0.97, high=0.98),
                   comparison="<=", bound=0.99)  # fmt: skip
    [zone] = having(met, "rect", "zone")
    assert float(zone.get("x")) == 0.0


def test_interval_of_nothing_is_an_empty_drawing():
    nan = math.nan
    assert having(interval(Measurement(nan, nan, nan, 0)), "circle", "dot") == []
    bounded = interval(Measurement(nan, nan, nan, 0), comparison=">=", bound=0.5)
    assert len(having(bounded, "line", "limit")) == 1


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9), st.sampled_from(["", "bytes", "s"]))
def test_interval_never_leaves_its_drawing(low, high, bound, unit):
    low, high = sorted((low, high))
    root = interval(Measurement((low + high) / 2, low, high, 5, unit), comparison=">=", bound=bound)
    for mark in root:
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(mark.get(name, 0)) <= 168


def test_tiny_pictures_are_enlarged_by_whole_numbers():
    for side, shown in ((8, 144), (28, 140), (96, 96), (300, 300)):
        image = figure(Picture("p", samples.png([[0] * side] * side), "a"), "f").image
        assert (image.width, image.height) == (shown, shown)


def test_element_escapes_text_and_attributes():
    written = element("text", text='<a b="c">&', x=1.25, data_x='"><')
    assert written == ('<text x="1.2" data-x="&quot;&gt;&lt;">&lt;a b="c"&gt;&amp;</text>')


@given(st.text(), st.floats(30, 300))
def test_shortened_text_fits_and_keeps_its_ends(text, width):
    for cut in (shorten(text, width), shorten_middle(text, width)):
        assert text_width(cut) <= width
        whole = " ".join(text.split())
        assert cut == whole or "…" in cut


def test_names_that_differ_at_the_end_stay_different():
    names = [f"a rather long class name {k}" for k in range(10, 20)]
    assert len({shorten_middle(n, 90) for n in names}) == 10


@given(st.text())
def test_cleaned_text_is_legal_xml(text):
    ElementTree.fromstring(element("t", text=text, a=text))
    assert clean(clean(text)) == clean(text)


VALUES = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1.8e308, -1.8e308, 1e-300, 1.0])
NAMES = st.text(max_size=6)


PAIRS = st.lists(st.tuples(VALUES | NAMES, VALUES), max_size=5)
FLAGS = st.fixed_dictionaries({k: st.booleans() for k in ("log_x", "log_y", "diagonal")})


def is_drawn(evidence):
    for svg in chart(evidence, "c").drawings:
        for mark in ElementTree.fromstring(svg).iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
                if mark.tag != "svg" and mark.get(name) is not None:
                    assert abs(float(mark.get(name))) < 5000, mark.attrib
            assert "nan" not in mark.get("d", "") + mark.get("points", "")
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, PAIRS), max_size=3), FLAGS)
def test_any_series_can_be_drawn(plain, flags):
    series = tuple(Series(n, tuple(x for x, _ in p), tuple(y for _, y in p)) for n, p in plain)
    assert is_drawn(Lines("t", "x", "y", series, **flags))
    assert is_drawn(Points("t", "x", "y", series, **flags))
    assert is_drawn(Bars("t", "x", "y", series))


@settings(max_examples=50, deadline=None)
@given(st.lists(NAMES, max_size=4), st.lists(NAMES, max_size=4), st.data())
def test_any_matrix_can_be_drawn(rows, columns, data):
    values = [data.draw(st.lists(VALUES, min_size=len(columns), max_size=len(columns)))
              for _ in rows]  # fmt: skip
    assert is_drawn(Heatmap("t", "x", "y", tuple(columns), tuple(rows), tuple(map(tuple, values))))


@given(VALUES, VALUES, VALUES, VALUES, st.sampled_from(["", "bytes", "s", "target"]))
def test_any_interval_can_be_drawn(value, low, high, bound, unit):
    root = interval(Measurement(value, low, high, 5, unit), comparison=">=", bound=bound)
    for mark in root:
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(mark.get(name, 0)) <= 168
