import dataclasses
import re
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.finding import Finding, Judgement, Measurement, Picture, Series, Table
from netwright.report import MOST_BYTES, RequirementRow, RunView, render_report, write_report
from tests.report import samples

VOID = {"meta", "img", "br", "hr", "input", "link", "wbr", "path"}
HTML_VOID = VOID - {"path"}


class Page(HTMLParser):
    """Collects elements, and complains about every tag that is not closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.faults, self.text = [], [], [], []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> never closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        names = [name for name, _ in attributes]
        if len(names) != len(set(names)):
            self.faults.append(f"<{tag}> repeats an attribute: {names}")
        if tag not in HTML_VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def svgs(text):
    return re.findall(r"<svg.*?</svg>", text, re.DOTALL)


@pytest.fixture(scope="module", params=samples.VIEWS)
def page(request):
    text = render_report(samples.VIEWS[request.param]())
    return Page(text), text


def test_every_tag_is_closed_in_order(page):
    assert page[0].faults == []


def test_every_drawing_is_well_formed_xml(page):
    assert len(svgs(page[1])) >= 1
    for svg in svgs(page[1]):
        ElementTree.fromstring(svg)


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [a["id"] for _, a in page[0].elements if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"] for _, a in page[0].elements if "href" in a]
    assert targets
    assert [t for t in targets if t[0] != "#" or t[1:] not in ids] == []
    for _, attributes in page[0].elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(ids)


def test_page_stays_below_two_megabytes(page):
    assert len(page[1].encode()) < MOST_BYTES == 2_000_000


def test_page_asks_for_nothing(page):
    addresses = re.findall(r"[a-z]+://[^\s\"'<>]+", page[1])
    assert addresses == []
    assert {tag for tag, _ in page[0].elements} & {"link", "iframe", "object", "embed"} == set()
    assert all(a["src"].startswith("data:image/png;base64,") for a in page[0].of("img"))
    assert "@import" not in page[1]


def test_policy_forbids_everything_but_the_page_itself(page):
    [policy] = [a["content"] for a in page[0].of("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe-eval" not in policy
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'", policy)


def test_headings_descend_one_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in page[0].elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))


def test_tables_tell_what_their_headings_head(page):
    assert all(a.get("scope") in ("col", "row") for a in page[0].of("th"))
    assert len(page[0].of("table")) == len(page[0].of("caption"))


def test_every_drawing_is_an_image_with_a_name(page):
    for attributes in page[0].of("svg"):
        if attributes.get("aria-hidden") == "true":
            continue
        assert attributes["role"] == "img"
        assert attributes.get("aria-label") or attributes.get("aria-labelledby")


def test_every_chart_has_title_description_and_a_table(page):
    text = page[1]
    charts = [s for s in svgs(text) if 'class="chart' in s]
    for svg in charts:
        root = ElementTree.fromstring(svg)
        assert root.find("title").text
        assert root.find("desc").text
    figures = re.findall(r'<figure class="[a-z]+ drawn".*?</figure>', text, re.DOTALL)
    assert 2 * len(figures) == len(charts)
    assert all("<details>" in f and "<table" in f for f in figures)


@pytest.mark.parametrize("nasty", [samples.NASTY, '"><img src=x onerror=alert(1)>', "</style>"])
def test_markup_in_data_stays_text(nasty):
    text = render_report(samples.awkward(nasty, samples.NASTY_ATTRIBUTE))
    parsed = Page(text)
    assert parsed.faults == []
    assert len(parsed.of("script")) == len(parsed.of("style")) == 1
    assert not any(n.startswith("on") for _, a in parsed.elements for n in a)
    assert nasty in "".join(parsed.text)
    assert nasty in [t.text for s in svgs(text) for t in ElementTree.fromstring(s).iter("title")]


# What a page may consist of, whatever the data: a tag that is not listed came from the data.
TAGS = set(
    "html head meta title style script body svg symbol circle path use a div nav p ol li main "
    "header h1 h2 h3 section span table caption thead tr th tbody td b small dl dt dd figure "
    "figcaption details summary pre desc g line rect polygon text img code ul footer".split()
)


@settings(max_examples=20, deadline=None)
@given(st.text(max_size=40), st.text(alphabet="<>&\"'/=\\`{}% \n\x00onclick!-]", max_size=30))
def test_any_text_anywhere_stays_text(first, second):
    text = render_report(samples.awkward(first, second))
    text.encode()  # no lone surrogates
    parsed = Page(text)
    assert parsed.faults == []
    assert {tag for tag, _ in parsed.elements} <= TAGS
    assert len(parsed.of("script")) == 1
    assert not any(name.startswith("on") for _, a in parsed.elements for name in a)
    for svg in svgs(text):
        ElementTree.fromstring(svg)


def noise(seed, side):
    return samples.png(np.random.default_rng(seed).integers(0, 256, (side, side, 3)))


def test_pictures_beyond_the_limit_are_named_not_shown():
    pictures = tuple(Picture(f"noise {k}", noise(k, 300), "noise") for k in range(12))
    assert all(len(p.png) > 300_000 for p in pictures)
    finding = Finding("noise", "Noise", "", evidence=pictures)
    text = render_report(dataclasses.replace(samples.empty(), findings=(finding,)))
    assert len(text.encode()) < MOST_BYTES
    shown = len(Page(text).of("img"))
    assert 1 <= shown < 12
    assert text.count("is left out to keep this page small") == 12 - shown
    assert "noise 11" in text


def test_endless_tables_and_texts_are_cut_and_say_so():
    rows = tuple((f"file {k}.png", k, "<&>" * 500) for k in range(20_000))
    table = Table("rows", ("file", "row", "reason"), rows)
    view = dataclasses.replace(
        samples.digits(), quarantine=table, duplicates=table, front=table, schema="<&>" * 200_000,
        design_json="<&>" * 100_000, unreachable="<&>" * 100_000, command="<&>" * 100_000,
        leaderboard=samples.digits().leaderboard * 500,
        findings=(Finding("t", "T", "", evidence=(table,) * 20),), requirements=(),
    )  # fmt: skip
    text = render_report(view)
    assert len(text.encode()) < MOST_BYTES
    assert "of 20,000 rows; the run folder holds them all" in text
    assert "more characters" in text
    assert "more candidates are in the run" in text


def judged(verdict, name="accuracy"):
    measurement = Measurement(0.9, 0.88, 0.92, 300, method="wilson")
    finding = Finding(name, name, "", measurement, f"{name} >= 0.8", Judgement(verdict, "Because."))
    return RequirementRow(f"{name} >= 0.8", finding, ">=", 0.8)


def test_verdict_is_told_by_word_icon_and_colour():
    for verdict in ("met", "broken", "undecided"):
        text = render_report(dataclasses.replace(samples.empty(), requirements=(judged(verdict),)))
        assert re.search(
            rf'<span class="badge {verdict}"><svg class="icon"[^>]*><use href="#icon-{verdict}"/>'
            rf"</svg><span>{verdict}</span></span>",
            text,
        )
        assert f'class="interval {verdict}"' in text
        assert "0.880 to 0.920" in text


def test_requirement_links_to_its_finding_and_names_its_bound():
    row = judged("met")
    view = dataclasses.replace(samples.empty(), requirements=(row,), findings=(row.finding,))
    parsed = Page(render_report(view))
    assert "finding-0-accuracy" in [a.get("id") for a in parsed.of("section")]
    assert "#finding-0-accuracy" in [a["href"] for a in parsed.of("a")]
    assert "≥ 0.8" in "".join(parsed.text)


def test_sections_of_an_audit_leave_out_what_it_did_not_do():
    ids = [a.get("id") for a in Page(render_report(samples.audit_only())).of("section")]
    assert "search" not in ids
    assert "training" not in ids
    assert "findings" in ids


def test_build_without_candidates_says_so():
    assert "No candidate was tried within the budget." in render_report(samples.empty())


def test_unequal_series_are_refused_with_finding_and_chart():
    bad = dataclasses.replace(samples.training_loss(), series=(Series("loss", (1.0,), ()),))
    view = dataclasses.replace(samples.empty(), findings=(Finding("f", "F", "", evidence=(bad,)),))
    with pytest.raises(ValueError, match=r"Finding `f`: chart 'Loss': .*series 'loss'.*got 1, 0"):
        render_report(view)


def test_picture_that_is_no_png_is_refused():
    for png in ("R0lGODlhAQABAAAAACw=", "not base64!"):
        finding = Finding("f", "F", "", evidence=(Picture("p", png, "alt"),))
        with pytest.raises(ValueError, match="Finding `f`: picture 'p': `png` must"):
            render_report(dataclasses.replace(samples.empty(), findings=(finding,)))


def test_write_report_replaces_the_file(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(samples.empty(), path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


def test_same_view_gives_the_same_page():
    assert render_report(samples.digits()) == render_report(samples.digits())


def test_templates_are_inside_the_package():
    inside = {f.name for f in files("netwright.report").joinpath("templates").iterdir()}
    assert {"report.html.j2", "_parts.html.j2", "report.css", "report.js"} <= inside


def test_view_has_defaults_for_all_but_the_heading():
    view = RunView("t", "d", "c", "v")
    assert "<h1>t</h1>" in render_report(view)
