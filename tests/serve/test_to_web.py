"""The page without a server, in headless Chromium, cut off from every network, from the disk."""

import base64
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from netwright.data._pictures import decode
from netwright.serve import ExportError, export
from netwright.serve import _web_runtime as web_runtime
from tests.browser import chromium

__all__ = ["chromium"]  # a fixture

# float32 sums in another order; probabilities are at most 1.
CLOSE = 2e-6
FILES = ("package.json", "dist/ort.wasm.min.js", "dist/ort-wasm-simd-threaded.mjs",
         "dist/ort-wasm-simd-threaded.wasm")  # fmt: skip


@pytest.fixture(scope="module")
def runtime():
    """ONNX Runtime Web, out of the cache or fetched: seconds where there is a network."""
    try:
        return web_runtime.fetch_runtime()
    except ExportError as error:
        pytest.skip(str(error))  # honest: 33 MB that no package index of Python's holds


@pytest.fixture
def visit(chromium, runtime, tmp_path):
    contexts, complaints, requests = [], [], []

    def open_(model):
        first, *_ = export(model.path, "web", tmp_path / "web", runtime=runtime)
        context = chromium.new_context(viewport={"width": 360, "height": 740}, offline=True)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(first.as_uri())
        page.locator("#main").wait_for()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
    assert [r for r in requests if not r.startswith((tmp_path.as_uri(), "blob:", "data:"))] == []


def ask(page, body):
    script = "async (body) => (await answerHere('/predict', body)).predictions"
    answers = page.evaluate(script, body)
    return np.array([row.get("probabilities", row.get("values")) for row in answers]), answers


@pytest.mark.browser
def test_table_says_the_same_and_names_what_is_odd(visit, people_model):
    page = visit(people_model)
    rows = [
        {"age": 31.5, "town": "Ulm", "member": True, "joined": 18778},
        {"age": None, "town": None, "member": False, "joined": "2021-05-31"},
        {"age": 1e6, "town": " Köln ", "member": 1, "joined": 0},
        {"age": -3, "town": "Paris", "member": None, "joined": None},
    ]
    towns = np.array(["Ulm", "", "Köln", "Paris"], object)
    dates = [18778, 18778, 0, None]
    feed = {k: np.array([r[k] for r in rows], np.float32) for k in ("age", "member")}
    feed |= {"town": towns, "joined": np.array(dates, np.float32)}
    found, answers = ask(page, {"rows": rows})
    np.testing.assert_allclose(found, people_model.answer(feed), rtol=0, atol=CLOSE)
    assert answers[0]["notes"] == []
    assert "`town`: 'Paris' was not seen in training." in answers[3]["notes"]
    page.get_by_label("age").fill("")
    page.get_by_role("button", name="Predict").click()
    page.locator(".said").wait_for()
    assert page.locator(".bars li").count() == 2
    refusal = page.evaluate(
        "(row) => answerHere('/predict', { row }).catch((error) => error.text)",
        {**rows[0], "joined": "the day before"},
    )
    assert "row.joined must be a date such as 2024-05-31" in refusal


@pytest.mark.browser
def test_text_says_the_same(visit, words_model):
    page = visit(words_model)
    texts = ["Good fine film, isn't it?", "", "ÜNKNOWN the bad £ plot", "dull " * 40]
    found, _ = ask(page, {"texts": texts})
    wanted = words_model.answer({"text": np.array(texts, object)})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE)


@pytest.mark.browser
def test_images_say_the_same_and_are_decoded_to_the_bit(visit, digits_model, digits_task):
    page = visit(digits_model)
    split = digits_task.validation
    pixels = (split.take(range(40)) * 255).round().byte().numpy()
    found, _ = ask(page, {"images": pixels.tolist()})
    np.testing.assert_allclose(found, digits_model.answer({"image": pixels}), rtol=0, atol=CLOSE)
    file = io.BytesIO()
    Image.fromarray(pixels[0, 0]).save(file, "PNG")
    page.get_by_role("button", name="Picture").click()
    page.locator("#file").set_input_files(
        {"name": "digit.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    page.locator(".said").wait_for()
    said = digits_model.classes[found[0].argmax()]
    assert page.locator(".said").inner_text().split()[0] == said
    draw = np.random.default_rng(0)
    # Smaller, larger, much larger (in blocks first), a strip, odd sizes, transparent.
    for height, width, mode in [
        (7, 9, "RGB"), (30, 20, "L"), (333, 278, "RGB"), (901, 8, "L"), (5, 3, "RGBA"),
    ]:  # fmt: skip
        depth = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
        noise = draw.integers(0, 256, (height, width, depth)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise[..., 0] if depth == 1 else noise, mode=None).save(file, "PNG")
        for shape in ((1, 8, 8), (3, 32, 23)):
            made = page.evaluate(
                "async ([text, shape]) => Array.from(await decodePicture(fromBase64(text), shape))",
                [base64.b64encode(file.getvalue()).decode(), list(shape)],
            )
            wanted = decode(file.getvalue(), shape)
            np.testing.assert_array_equal(np.reshape(made, shape), wanted)


@pytest.mark.browser
def test_characters_say_the_same(visit, chains_model, chains_frame):
    page = visit(chains_model)
    chains = [*chains_frame["dna"][:6], "", "ACGTN gatc"]
    found, _ = ask(page, {"texts": chains})
    wanted = chains_model.answer({"text": np.array(chains, object)})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE)


@pytest.mark.browser
def test_sequences_say_the_same(visit, waves_model):
    page = visit(waves_model)
    drawn = np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)
    drawn[1, :, 30:] = np.nan
    drawn[2, 0, 5] = np.nan
    rows = [[[None if v != v else v for v in line] for line in row] for row in drawn.tolist()]
    rows[1] = [line[:30] for line in rows[1]]
    found, _ = ask(page, {"sequences": rows})
    np.testing.assert_allclose(found, waves_model.answer({"sequence": drawn}), rtol=0, atol=CLOSE)
    table = "a,b\n" + "\n".join(f"{a!r},{b!r}" for a, b in drawn[0].T.tolist())
    page.locator("#file").set_input_files(
        {"name": "a.csv", "mimeType": "text/csv", "buffer": table.encode()}
    )
    page.locator(".said").wait_for()
    said = waves_model.classes[found[0].argmax()]
    assert page.locator(".said").inner_text().split()[0] == said
    assert page.locator("svg.trace").count() == 1
    assert ".wav" not in page.locator(".drop").inner_text()
    refusal = "(sequence) => answerHere('/predict', { sequence }).catch((error) => error.text)"
    wav = "data:;base64," + base64.b64encode(b"RIFF....WAVE").decode()
    assert "is a recording, which this page does not read" in page.evaluate(refusal, wav)
    assert "must be 2 lists of one length" in page.evaluate(refusal, [[1, 2], [3]])


@pytest.fixture
def package(tmp_path):
    """A package with the right names and nothing inside."""

    def make(leave_out=()):
        contents = {name: b"{}" for name in FILES if name not in leave_out}
        contents["package.json"] = json.dumps({"version": "9.9.9"}).encode()
        contents["dist/ort.wasm.min.js"] = b"var ort;\n//# sourceMappingURL=ort.map\n"
        with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
            for name, content in contents.items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
                path = tmp_path / "folder" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return tmp_path / "package.tgz", tmp_path / "folder"

    return make


def test_page_is_whole_and_names_the_runtime_it_was_given(package, people_model, tmp_path):
    archive, folder = package()
    for place in (archive, folder):
        made = export(people_model.path, "web", tmp_path / "web", runtime=place)
        assert made[0].name == "index.html"
        page = made[0].read_text()
        scripts = [line.split('"')[1] for line in page.splitlines() if "<script" in line]
        assert {path.name for path in made} >= {*scripts, "serve.css", "palette.css"}
        assert "/static/" not in page
        assert "9.9.9" in (tmp_path / "web" / "THIRD-PARTY.txt").read_text()
        assert "sourceMappingURL" not in (tmp_path / "web" / "runtime.js").read_text()
        assert (tmp_path / "web" / "model.onnx").read_bytes() == people_model.path.read_bytes()


def test_missing_runtime_says_how_to_get_it(people_model, package, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    with pytest.raises(ExportError, match="`--runtime fetch` fetches it"):
        export(people_model.path, "web", tmp_path / "web")
    kept = tmp_path / "netwright" / "fetched" / f"onnxruntime-web-{web_runtime.VERSION}.tgz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(package()[0].read_bytes())
    with pytest.raises(ExportError, match=r"is damaged: its SHA-256 is .* Fetch it anew"):
        export(people_model.path, "web", tmp_path / "web")
    archive, _ = package(leave_out=("dist/ort-wasm-simd-threaded.wasm",))
    with pytest.raises(ExportError, match=r"is no package .*threaded\.wasm"):
        export(people_model.path, "web", tmp_path / "web", runtime=archive)
    archive.write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(ExportError, match="is no package of ONNX Runtime Web"):
        export(people_model.path, "web", tmp_path / "web", runtime=archive)
    with pytest.raises(ValueError, match="`runtime` is for the form `web`"):
        export(people_model.path, "c", runtime=archive)
    assert not (tmp_path / "web").exists()


def test_failing_fetch_is_told(monkeypatch, tmp_path):
    def retrieve(*_):
        raise OSError("no network")

    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(ExportError, match="could not be fetched from https://.*: no network"):
        web_runtime.find_runtime("fetch")
