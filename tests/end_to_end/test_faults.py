"""Hostile and damaged data through the whole path."""

import csv

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.data import DataError

pytestmark = pytest.mark.slow
HOSTILE = "<script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(80):
        bright = i % 2
        pixels = rng.integers(0, 100, (12, 12), dtype=np.uint8) + 150 * bright
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
        rows.append((f"{i}.png", "=HYPERLINK(1)" if bright else HOSTILE))
    whole = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(whole[: len(whole) // 2])
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file_name", "label"), *rows])
    out = tmp_path_factory.mktemp("hostile") / "run"
    return nw.build(str(folder), require=["accuracy >= 0.5"], budget="60 steps", out=out)


def test_a_truncated_picture_is_set_aside_and_counted(hostile_run):
    with open(hostile_run.folder / "quarantine.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 2 and "3.png" in " ".join(rows[1])
    page = hostile_run.report.read_text(encoding="utf-8")
    assert "3.png" in page


@pytest.mark.browser
def test_a_class_name_runs_nothing_in_the_report(hostile_run):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_context(offline=True).new_page()
        errors = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(hostile_run.report.as_uri())
        assert "owned" != page.title()
        assert "owned" in page.content()  # the name is shown, as text
        assert errors == []
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 360])
def test_the_report_of_a_real_run_opens_offline(digits_run, tmp_path, width):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
        page = context.new_page()
        errors, requests = [], []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("request", lambda r: requests.append(r.url))
        page.goto(digits_run.report.as_uri())
        first_screen = page.locator("main").inner_text()
        assert all(text in first_screen for text in digits_run.job["requirements"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [u for u in requests if not u.startswith(("file:", "data:"))] == []
        assert errors == []
        page.screenshot(path=tmp_path / f"report-{width}.png", full_page=True)
        assert (tmp_path / f"report-{width}.png").stat().st_size > 20_000
        browser.close()
    assert digits_run.report.stat().st_size < 2_000_000


def test_too_many_bad_rows_end_the_build_and_are_listed(tmp_path):
    path = tmp_path / "table.csv"
    lines = ["a,y", *(f"{i * i % 37},{i / 7 if i % 5 else 'inf'}" for i in range(60))]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"listed in .*quarantine.csv"):
        nw.build(str(path), target="y", budget="10 steps", out=tmp_path / "run")
    listed = (tmp_path / "run" / "quarantine.csv").read_text(encoding="utf-8").splitlines()
    assert len(listed) == 1 + 12
    path.write_text(path.read_text(encoding="utf-8").replace("inf", "1"), encoding="utf-8")
    nw.build(str(path), target="y", budget="10 steps", out=tmp_path / "run")  # mended, it runs
