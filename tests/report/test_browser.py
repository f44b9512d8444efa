"""The page in headless Chromium, from file://, with the network off."""

import pytest

from netwright.report import write_report
from tests.browser import chromium
from tests.report import samples

__all__ = ["chromium"]  # a fixture

pytestmark = pytest.mark.browser

SIZES = {"desktop": (1440, 900), "phone": (360, 740)}


@pytest.fixture
def visit(chromium, tmp_path):
    """Open a view; afterwards check that the page asked for nothing and complained of nothing."""
    contexts, requests, complaints = [], [], []

    def open_(view, size="desktop", scheme="light", **more):
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, **more
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        path = tmp_path / f"report-{len(contexts)}.html"
        write_report(view, path)
        page.goto(path.as_uri())
        page.screenshot(path=tmp_path / f"{size}-{scheme}.png")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [r for r in requests if not r.startswith(("file:", "data:"))] == []
    assert complaints == []


OVERFLOW = """() => {
  const wide = [...document.querySelectorAll("main *")].filter(e =>
    e.getBoundingClientRect().right > innerWidth + 1 &&
    !e.closest(".scroll") && !e.closest(".unseen") && !e.closest("svg"));
  const over = document.documentElement.scrollWidth - innerWidth;
  return [over, wide.map(e => e.outerHTML.slice(0, 90))];
}"""


@pytest.mark.parametrize("name", samples.VIEWS)
def test_page_never_scrolls_sideways(visit, name):
    page = visit(samples.VIEWS[name]())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for width in (1440, 1100, 1099, 768, 430, 360):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(OVERFLOW) == [0, []], width


# Every visible text against the first opaque ground behind it; texts on heatmap cells are checked
# in test_palette.py, tint by tint.
CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((s, v, k) => s + v * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
      if (c[3] > 0) throw new Error("half transparent ground: " + e.outerHTML.slice(0, 80));
    }
    return [255, 255, 255];
  };
  const found = [];
  let n = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, e = node.parentElement;
    if (!node.textContent.trim()) continue;
    if (e.closest("script, style, title, desc, .unseen, .skip, .cell")) continue;
    if (!e.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(e);
    const ink = parse(e.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    n += 1;
    if (ratio < 4.5) found.push(ratio.toFixed(2) + " " + node.textContent.trim().slice(0, 40));
  }
  return [n, found];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["digits", "impossible", "awkward"])
def test_every_text_can_be_read(visit, name, scheme):
    page = visit(samples.VIEWS[name](), scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    n, found = page.evaluate(CONTRAST)
    assert n > 200
    assert found == []


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_theme_follows_the_reader_and_the_switch(visit):
    dark = background(visit(samples.empty(), scheme="dark"))
    page = visit(samples.empty(), scheme="light")
    light = background(page)
    assert light != dark
    page.get_by_role("button", name="Dark theme").click()
    assert background(page) == dark
    page.wait_for_timeout(1000)  # Chromium stores a page's choice in another process
    page.reload()
    assert background(page) == dark
    page.get_by_role("button", name="Light theme").click()
    assert background(page) == light


@pytest.mark.parametrize("size", SIZES)
def test_screen_readers_find_verdicts_and_charts(visit, size):
    page = visit(samples.digits(), size)
    table = page.get_by_role("table", name="Requirements and verdicts")
    assert table.get_by_role("row").count() == 4
    row = table.get_by_role("row").filter(has_text="accuracy >= 0.95")
    assert row.get_by_role("cell", name="undecided").count() == 1
    assert row.get_by_role("rowheader").inner_text() == "accuracy >= 0.95"
    graphic = row.get_by_role("img")
    assert graphic.get_attribute("aria-label") == (
        "0.947, interval 0.919 to 0.966; required: at least 0.95"
    )
    for title in ("Loss", "Confusion matrix", "Size by layer"):
        assert page.get_by_role("img", name=title, exact=True).count() == 1
    assert page.get_by_role("navigation", name="Contents").get_by_role("link").count() >= 8


def test_keyboard_reaches_everything(visit):
    page = visit(samples.digits())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    seen = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName + document.activeElement.className"))
    for stop in ("A", "BUTTONtheme", "BUTTON", "SUMMARY", "DIVscroll", "PRE"):
        assert stop in seen
    summary = page.get_by_text("The design, as it can be built again")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text('"family": "residual_cnn"').is_visible()


def test_scrolling_regions_take_the_keyboard(visit):
    page = visit(samples.digits())
    stuck = """() => [...document.querySelectorAll("main *")].filter(e =>
      e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX) &&
      e.tabIndex < 0).map(e => e.outerHTML.slice(0, 80))"""
    for width in (1100, 740, 360):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(stuck) == [], width


def test_tables_sort_by_number_not_by_text(visit):
    page = visit(samples.digits())
    board = page.get_by_role("table", name="Candidates")
    cells = board.locator("tbody tr td:nth-child(5)")  # latency_p95, the fifth column
    before = cells.all_inner_texts()
    heading = board.get_by_role("columnheader", name="latency_p95")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    numbers = [float(t.split()[0]) for t in cells.all_inner_texts() if t != "–"]
    assert numbers == sorted(numbers)
    assert cells.all_inner_texts()[-1] == "–"
    assert sorted(cells.all_inner_texts()) == sorted(before)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"


def test_hover_tells_the_point(visit):
    page = visit(samples.digits(), reduced_motion="reduce")
    mark = page.locator("#search-scatter svg.wide .points > *").first
    mark.hover()  # scrolls there, and scrolling hides the text
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.mouse.move(5, 5)
    mark.hover()
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert tip.inner_text().startswith("no. 0, linear: accuracy 0.928")
    page.mouse.move(5, 5)
    assert tip.is_hidden()
    assert mark.locator("title").count() == 1


@pytest.mark.parametrize("size", SIZES)
def test_search_is_drawn_against_the_cost_that_is_chosen(visit, size):
    page = visit(samples.digits(), size)
    choices = page.get_by_role("group", name="Drawn against").get_by_role("button")
    assert choices.all_inner_texts() == ["size", "parameters", "latency_p95"]
    charts = page.locator(".switched figure")
    assert [c.is_visible() for c in charts.all()] == [True, False, False]
    choices.nth(2).focus()
    page.keyboard.press("Enter")
    assert [c.is_visible() for c in charts.all()] == [False, False, True]
    pressed = [c.get_attribute("aria-pressed") for c in choices.all()]
    assert pressed == ["false", "false", "true"]
    charts.nth(2).locator("summary").click()
    assert charts.nth(2).get_by_role("table").is_visible()


def test_page_says_everything_without_scripts(visit):
    page = visit(samples.digits(), java_script_enabled=False)
    assert page.get_by_role("heading", level=1).inner_text() == "digits"
    assert page.get_by_role("table", name="Requirements and verdicts").is_visible()
    page.get_by_text("Data: Loss").click()
    assert page.get_by_role("table", name="Loss").is_visible()
    assert all(chart.is_visible() for chart in page.locator(".switched figure").all())


def test_charts_stay_readable_on_a_phone(visit):
    page = visit(samples.digits(), "phone")
    sizes = page.evaluate("""() => [...document.querySelectorAll("svg.chart")]
      .filter(s => s.checkVisibility()).map(s => s.clientWidth / s.viewBox.baseVal.width * 11)""")
    assert len(sizes) >= 8
    assert min(sizes) >= 10  # pixels of the smallest text


def test_policy_stops_what_escaping_might_let_through(chromium, tmp_path):
    path = tmp_path / "report.html"
    write_report(samples.empty(), path)
    spoiled = path.read_text(encoding="utf-8").replace(
        "<h1>", "<img src=x onerror='document.title=1'><script>document.title=2</script><h1>"
    )
    path.write_text(spoiled, encoding="utf-8")
    context = chromium.new_context(offline=True)
    page = context.new_page()
    blocked = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(path.as_uri())
    page.wait_for_function("document.readyState === 'complete'")
    assert page.title() == "nothing yet · Netwright report"
    assert sum("Content Security Policy" in text for text in blocked) >= 2
    context.close()


def test_print_is_light_and_without_navigation(visit):
    page = visit(samples.digits(), scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.get_by_role("navigation").is_hidden()
    assert background(page) == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")
    page.set_viewport_size({"width": 720, "height": 1000})  # A4 between margins
    assert page.evaluate("document.documentElement.scrollWidth") == 720
