"""The page in headless Chromium: by mouse, by keyboard, on a phone; all comes from here."""

import io

import numpy as np
import pytest
from PIL import Image

from netwright.serve import Log, read_reference
from tests.browser import chromium
from tests.serve.conftest import waves

__all__ = ["chromium"]  # a fixture

pytestmark = pytest.mark.browser

SIZES = {"desktop": (1280, 900), "phone": (360, 740)}


@pytest.fixture
def visit(chromium):
    contexts, requests, complaints = [], [], []

    def open_(client, size="desktop", expected=(), **more):
        width, height = SIZES[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, **more)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda m: any(e in m.text for e in expected) or complaints.append(m.text),
        )
        page.goto(f"http://127.0.0.1:{client.port}/")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [r for r in requests if not r.startswith(("http://127.0.0.1:", "data:"))] == []
    assert complaints == []


@pytest.fixture(scope="module")
def digits(shared, digits_model, digits_reference, tmp_path_factory):
    log = Log(f"sqlite:///{tmp_path_factory.mktemp('page') / 'log.db'}")
    return shared(digits_model, reference=digits_reference, log=log)


@pytest.fixture(scope="module")
def pairs(shared, waves_model):
    return shared(waves_model, reference=read_reference(waves_model, waves(2)))


@pytest.fixture(scope="module")
def people(shared, people_model):
    return shared(people_model)


@pytest.fixture(scope="module")
def words(shared, words_model):
    return shared(words_model)


def upload(page, pixels):
    file = io.BytesIO()
    Image.fromarray(pixels[0]).save(file, "PNG")
    page.get_by_role("button", name="Picture").click()
    page.locator("#file").set_input_files(
        {"name": "digit.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )


def draw_a_one(page):
    pad = page.locator("canvas.pad").bounding_box()
    x, y, side = pad["x"] + pad["width"] / 2, pad["y"], pad["height"]
    page.mouse.move(x, y + 0.05 * side)
    page.mouse.down()
    page.mouse.move(x, y + 0.95 * side, steps=10)
    page.mouse.up()


def test_drawing_is_predicted_with_examples_and_radius(visit, digits):
    page = visit(digits)
    draw_a_one(page)
    page.locator("#radius-body").wait_for()
    said = page.locator(".said").inner_text().split()[0]
    assert said in list("0123456789")
    assert page.locator(".bars li").count() == 10
    assert page.locator(".bars li").first.locator(".label").inner_text() == said
    assert page.locator("#nearest-list .example").count() == 6
    assert page.locator(".seen img").get_attribute("src").startswith("data:image/png")
    assert "Calibrated by temperature scaling" in page.locator("#answer").inner_text()


def test_slider_shows_where_it_breaks_and_where_it_cannot(visit, digits, digits_model, digit):
    page = visit(digits)
    upload(page, digit)
    page.locator("#radius-pictures img").first.wait_for()
    found = digits.post("/radius", {"image": digit.tolist()})[1]
    slider = page.get_by_role("slider")
    assert int(slider.input_value()) == found["broken"]
    text = page.locator("#radius-text")
    label = page.locator(".said").inner_text().split()[0]
    text.filter(has_text="turns").wait_for()
    assert f"an attack turns {label} into" in text.inner_text()
    assert page.locator("#radius-pictures img").count() == 2
    slider.focus()
    for _ in range(found["broken"] - found["proved"]):
        page.keyboard.press("ArrowLeft")
    assert text.inner_text() == (
        f"Proved: whatever is done to the pixels within {found['proved']}/255, the prediction "
        f"stays {label}."
    )
    assert page.locator("#radius-pictures img").count() == 0
    assert text.inner_text() in slider.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowRight")
    if found["broken"] - found["proved"] > 1:
        assert "no attack was found, and none is ruled out" in text.inner_text()


def test_keyboard_draws_alone(visit, digits):
    page = visit(digits)
    page.get_by_role("button", name="Draw").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    for _ in range(7):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    assert page.locator("#pad-hint").inner_text() == "The pen is down."
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.locator(".said").wait_for()
    assert page.locator(".bars li").count() == 10


def test_example_can_be_tried_and_truth_be_told(visit, digits):
    page = visit(digits)
    draw_a_one(page)
    first = page.locator("#nearest-list .example").first
    first.wait_for()
    truth = first.locator("b").inner_text()
    first.click()
    page.locator("#nearest-list figcaption").first.filter(has_text="distance 0").wait_for()
    assert page.locator("#nearest-list b").first.inner_text() == truth  # a row is nearest to itself
    told = digits.get("/monitor")[1]["accuracy"]
    page.get_by_label("What is true").select_option(truth)
    page.get_by_role("button", name="Tell").click()
    page.get_by_text("Noted.").wait_for()
    after = digits.get("/monitor")[1]["accuracy"]
    assert after["n"] == (0 if told is None else told["n"]) + 1
    page.get_by_text("accuracy, as told").wait_for()


def test_drift_is_shown(visit, shared, digits_model, digits_reference):
    client = shared(digits_model, reference=digits_reference)
    page = visit(client)
    page.get_by_text("Drift is judged from 100 rows on; there are 0.").wait_for()
    noise = np.random.default_rng(0).integers(0, 256, (120, 1, 8, 8))
    client.post("/predict", {"images": noise.tolist()})
    page.reload()
    page.get_by_text("have shifted").wait_for()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="contrast"))
    assert "shifted" in row.inner_text()


def test_row_of_a_table_by_keyboard(visit, people):
    page = visit(people, expected=["422"])
    page.get_by_label("age").fill("28")
    page.get_by_label("town").select_option("Bonn")
    page.get_by_label("joined").fill("2021-03-04")
    page.keyboard.press("Enter")
    page.locator(".said").wait_for()
    row = {"age": 28, "town": "Bonn", "member": True, "joined": "2021-03-04"}
    truth = people.post("/predict", {"row": row})[1]["predictions"][0]
    assert page.locator(".said").inner_text().startswith(truth["label"])
    assert f"{100 * truth['probability']:.1f}" in page.locator(".said").inner_text()
    page.get_by_label("age").fill("1e60")
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("row.age must be within 3.4e+38").wait_for()
    assert page.get_by_label("age").get_attribute("aria-invalid") == "true"
    page.get_by_label("age").fill("")  # missing
    page.get_by_role("button", name="Predict").click()
    page.locator("#problem").wait_for(state="hidden")
    assert page.get_by_label("age").get_attribute("aria-invalid") == "false"


def test_text(visit, words):
    page = visit(words)
    page.get_by_label("Text").fill("good film fine plot")
    page.keyboard.press("Control+Enter")
    page.locator(".said").wait_for()
    truth = words.post("/predict", {"text": "good film fine plot"})[1]["predictions"][0]
    assert page.locator(".said").inner_text().startswith(truth["label"])


def test_sequence_by_file_and_by_paste(visit, pairs):
    page = visit(pairs)
    rows, names = waves(2, n=12, seed=5)
    fast, slow = (rows[names.tolist().index(name)] for name in ("fast", "slow"))
    lines = "\n".join(f"{a},{b}" for a, b in fast.T)
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": f"x0,x1\n{lines}".encode()}
    page.locator("#file").set_input_files(file)
    page.locator("#answer .said", has_text="fast").wait_for()
    drawn = page.locator("#answer svg[role=img]")
    assert f"{fast.shape[1]} steps" in drawn.get_attribute("aria-label")
    assert drawn.locator("path").count() == 2
    numbers = page.get_by_label("Or paste numbers")
    numbers.fill("1 2 three\n4 5 6")
    page.get_by_role("button", name="Predict").click()
    assert "“three” is no number" in page.locator("#problem").inner_text()
    numbers.fill("\n".join(" ".join(map(str, channel)) for channel in slow.tolist()))
    page.get_by_role("button", name="Predict").click()
    page.locator("#answer .said", has_text="slow").wait_for()
    numbers.fill("\n".join(f"{a};{b}" for a, b in fast.T))  # a line a step
    page.get_by_role("button", name="Predict").press("Enter")
    page.locator("#answer .said", has_text="fast").wait_for()
    example = page.locator("#nearest button").nth(2)
    assert example.locator("svg path").count() == 2
    example.focus()
    example.press("Enter")  # by keyboard; it is its own nearest example
    page.locator("#nearest", has_text="distance 0").wait_for()
    assert len(numbers.input_value().splitlines()) == 2


def test_what_a_sequence_lacks_is_said_on_the_phone(visit, pairs):
    page = visit(pairs, "phone", expected=("422",))
    page.get_by_label("Or paste numbers").fill("1 2 3")
    page.get_by_role("button", name="Predict").click()
    page.locator("#problem", has_text="must be 2 lists, one a channel").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_chain_keeps_its_capitals(visit, shared, chains_model):
    page = visit(shared(chains_model))
    for text, said in (("ACGTAgatcACGTacgtACGT", "small"), ("\nACGTAGATCACGTac\n", "large")):
        page.get_by_label("Text").fill(text)
        page.get_by_role("button", name="Predict").click()
        page.locator("#answer .said", has_text=said).wait_for()
    assert "capital letters differ" in page.locator("#try").inner_text()


def test_texts_near_by_share_words(words_model, words_frame):
    reference = read_reference(words_model, words_frame)
    assert "words" in reference.where
    x = words_model.features({"text": np.array(["good good film"], object)})
    (found,) = reference.nearest(x, 3)
    assert all({"good", "film"} & set(each.content.split()) for each in found)


OVERFLOW = """() => {
  const wide = [...document.querySelectorAll("main *")].filter(e =>
    e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll"));
  const over = document.documentElement.scrollWidth - innerWidth;
  return [over, wide.map(e => e.outerHTML.slice(0, 80))];
}"""


def test_phone(visit, digits, people):
    page = visit(digits, "phone", has_touch=True, is_mobile=True)
    pad = page.locator("canvas.pad").bounding_box()
    page.touchscreen.tap(pad["x"] + 80, pad["y"] + 80)
    page.locator("#radius-body").wait_for()
    assert page.evaluate(OVERFLOW) == [0, []]
    small = """() => [...document.querySelectorAll("button, select, input:not(.unseen)")]
      .filter(e => e.checkVisibility() && e.type !== "range")
      .filter(e => e.getBoundingClientRect().height < 40)
      .map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(small) == []
    form = visit(people, "phone")
    form.get_by_role("button", name="Predict").click()
    form.locator(".said").wait_for()
    assert form.evaluate(OVERFLOW) == [0, []]


def test_token_is_asked_for(visit, shared, digits_model):
    client = shared(digits_model, token="s3cret")
    page = visit(client, expected=["401"])
    page.get_by_label("This server asks for a token").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("That is not the token.").wait_for()
    page.get_by_label("This server asks for a token").fill("s3cret")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Try it").wait_for()
    draw_a_one(page)
    page.locator(".said").wait_for()
    assert page.locator(".bars li").count() == 10
