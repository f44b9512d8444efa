"""Every way to ask, and what is answered; faults are named by field."""

import base64
import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.serve import Log
from tests.serve.http import Client, multipart


@pytest.fixture(scope="module")
def digits(shared, digits_model, digits_reference):
    return shared(digits_model, reference=digits_reference)


@pytest.fixture(scope="module")
def people(shared, people_model):
    return shared(people_model)


@pytest.fixture(scope="module")
def words(shared, words_model):
    return shared(words_model)


ROW = {"age": 31.5, "town": "Ulm", "member": True, "joined": "2021-05-31"}


def as_png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels[0]).save(file, "PNG")
    return file.getvalue()


def expected(model, pixels):
    x = torch.from_numpy(pixels)[None].float() / 255
    return model.session.predict(x).softmax(1)[0].numpy()


def test_same_image_gets_the_same_answer_however_it_is_sent(digits, digits_model, digit):
    png = as_png(digit)
    text = base64.b64encode(png).decode()
    upload, kind = multipart(("a.png", png))
    found = [
        digits.post("/predict", {"image": digit[0].tolist()}),
        digits.post("/predict", {"images": [digit.tolist()]}),
        digits.post("/predict", {"image": text}),
        digits.post("/predict", {"image": f"data:image/png;base64,{text}"}),
        digits.post("/predict", png, kind="image/png"),
        digits.post("/predict", upload, kind=kind),
    ]
    truth = expected(digits_model, digit)
    for status, answer in found:
        assert status == 200
        (row,) = answer["predictions"]
        # float32 sums in another order, rounded to seven digits.
        assert row["probabilities"] == pytest.approx(truth.tolist(), abs=1e-5)
        assert row["label"] == answer["classes"][int(truth.argmax())]
        assert row["probability"] == max(row["probabilities"])
        assert len(row["id"]) == 32


def test_answer_says_how_it_was_calibrated_and_leaves_room(digits, digit):
    _, answer = digits.post("/predict", {"image": digit.tolist()})
    assert answer["calibration"]["method"] == "temperature scaling"
    assert answer["calibration"]["temperature"] == 1.25
    assert answer["predictions"][0]["prediction_set"] is None
    assert answer["predictions"][0]["explanation"] is None
    status, answer = digits.post("/predict", {"image": digit.tolist(), "include": ["explanation"]})
    assert status == 422
    assert "not offered yet" in answer["error"]["problems"][0]["reason"]


def test_nearest_training_row_of_a_training_row_is_itself(digits, digits_task):
    pixels = (digits_task.train.take([7])[0] * 255).round().int()
    _, answer = digits.post("/predict", {"image": pixels.tolist(), "include": ["nearest"]})
    first, *others = answer["predictions"][0]["nearest"]
    assert first["row"] == int(digits_task.train.rows[7])
    assert first["distance"] == pytest.approx(0, abs=0.05)  # cdist of float32 by squares
    assert first["truth"] == digits_task.schema.target.classes[int(digits_task.train.y[7])]
    assert first["content"].startswith("data:image/png;base64,")
    assert all(
        a["distance"] <= b["distance"] for a, b in zip([first, *others], others, strict=False)
    )


def test_rows_are_answered_as_the_file_answers_them(people, people_model):
    rows = [ROW, {"age": None, "town": None, "member": 0, "joined": 18778}]
    status, answer = people.post("/predict", {"rows": rows})
    assert status == 200
    feed = {
        "age": [31.5, math.nan],
        "town": ["Ulm", ""],
        "member": [1.0, 0.0],
        "joined": [18778.0, 18778.0],  # 2021-05-31
    }
    truth = people_model.session.probabilities(feed).numpy()
    found = np.array([row["probabilities"] for row in answer["predictions"]])
    np.testing.assert_allclose(found, truth, atol=1e-6)


def test_what_is_odd_but_allowed_is_noted(people):
    row = {**ROW, "town": "Paris", "age": 300, "member": None}
    _, answer = people.post("/predict", {"row": row})
    notes = " ".join(answer["predictions"][0]["notes"])
    assert "'Paris' was not seen in training" in notes
    assert "`age` is outside the training rows' " in notes
    assert "`member` was never missing" in notes


WRONG_ROWS = {
    "word for number": ({**ROW, "age": "old"}, "rows[0].age", "must be a number or null"),
    "number for word": ({**ROW, "town": 3}, "rows[0].town", "must be a text or null; got 3"),
    "no boolean": ({**ROW, "member": "yes"}, "rows[0].member", "must be true, false or null"),
    "no date": ({**ROW, "joined": "31.5.21"}, "rows[0].joined", "must be a date such as"),
    "too large": ({**ROW, "age": 1e39}, "rows[0].age", "must be within 3.4e+38"),
    "boolean for number": ({**ROW, "age": True}, "rows[0].age", "got a boolean"),
    "list": ({**ROW, "age": [1]}, "rows[0].age", "got a list"),
    "half a pair": ({**ROW, "town": "\ud800"}, "rows[0].town", "half a surrogate pair"),
    "column missing": ({k: v for k, v in ROW.items() if k != "town"}, "rows[0].town", "is missing"),
    "column misspelt": ({**ROW, "twon": 1}, "rows[0].twon", "did you mean `town`?"),
    "no object": ([1, 2], "rows[0]", "must be an object; got a list"),
}


@pytest.mark.parametrize("row, field, reason", WRONG_ROWS.values(), ids=WRONG_ROWS)
def test_fault_of_a_row_is_named_by_field(people, row, field, reason):
    status, answer = people.post("/predict", {"rows": [row]})
    assert status == 422
    found = {p["field"]: p["reason"] for p in answer["error"]["problems"]}
    assert reason in found[field]


WRONG_BODIES = {
    "cut short": ('{"rows": [', 400, "no JSON"),
    "NaN": ('{"row": {"age": NaN}}', 400, "NaN is no JSON number"),
    "deep": ("[" * 100_000, 400, "nested too deeply"),
    "latin": (b'{"row": "\xe4"}', 400, "no JSON"),
    "digits": ('{"row": ' + "9" * 10_000 + "}", 400, "no JSON"),
    "list": ("[]", 422, "does not fit"),
    "both": ('{"row": {}, "rows": []}', 422, "does not fit"),
    "none": ("{}", 422, "does not fit"),
    "empty": ('{"rows": []}', 422, "does not fit"),
    "unknown": ('{"rows": [], "treshold": 1}', 422, "not known"),
    "many": ('{"rows": [' + ",".join(["{}"] * 257) + "]}", 422, "does not fit"),
}


@pytest.mark.parametrize("body, status, message", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_body_that_cannot_be_read(people, body, status, message):
    found, answer = people.post("/predict", body)
    assert found == status
    assert message in answer["error"]["message"]


def test_json_must_say_that_it_is(people):
    assert people.post("/predict", "{}", kind="text/plain")[0] == 415  # pages elsewhere can send it
    upload, kind = multipart(("a.png", b"x"))
    status, answer = people.post("/predict", upload, kind=kind)
    assert status == 415
    assert "send JSON with `rows`" in answer["error"]["message"]


WRONG_IMAGES = {
    "no picture": (base64.b64encode(b"GIF89a").decode(), "not a picture in one of"),
    "empty": ("", "the file is empty"),
    "no base64": ("@@@", "is no base64"),
    "data without comma": ("data:image/png", "without a comma"),
    "number": (5, "must be a picture in base64"),
    "ragged": ([[1, 2], [3]], "unequal lengths"),
    "wrong shape": ([[1, 2], [3, 4]], "got shape (1, 2, 2)"),
    "beyond a byte": ([[256] * 8] * 8, "got other values"),
    "fractions": ([[0.5] * 8] * 8, "got other values"),
}


@pytest.mark.parametrize("image, reason", WRONG_IMAGES.values(), ids=WRONG_IMAGES)
def test_image_that_cannot_be_read(digits, image, reason):
    status, answer = digits.post("/predict", {"images": [image]})
    assert status == 422
    (problem,) = answer["error"]["problems"]
    assert problem["field"] == "images[0]"
    assert reason in problem["reason"]


def test_several_files(digits, digit):
    png = as_png(digit)
    upload, kind = multipart(("a.png", png), ("b.png", b"\r\n--frontie"), ("c.png", png))
    status, answer = digits.post("/predict", upload, kind=kind)
    assert status == 422
    assert [p["field"] for p in answer["error"]["problems"]] == ["file[1]"]
    upload, kind = multipart(("a.png", png), ("c.png", png))
    status, answer = digits.post("/predict", upload, kind=kind)
    assert status == 200
    assert len(answer["predictions"]) == 2
    for broken in (upload[:-30], b"x" + upload, b"", upload.replace(b'name="', b'mane="')):
        assert digits.post("/predict", broken, kind=kind)[0] == 400
    assert digits.post("/predict", upload, kind="multipart/form-data")[0] == 400
    many, kind = multipart(*[("a.png", png)] * 300)
    assert "too many parts" in digits.post("/predict", many, kind=kind)[1]["error"]["message"]
    field = upload.replace(b'; filename="a.png"', b"")
    status, answer = digits.post("/predict", field, kind=kind)
    assert status == 422
    assert "is no file" in answer["error"]["problems"][0]["reason"]


def test_picture_of_too_many_pixels_is_not_decoded(digits):
    file = io.BytesIO()
    Image.new("1", (6000, 5000)).save(file, "PNG")
    status, answer = digits.post("/predict", file.getvalue(), kind="image/png")
    assert status == 422
    assert "6,000 x 5,000 pixels" in answer["error"]["problems"][0]["reason"]


def test_small_files_of_large_pictures_are_not_all_decoded(digits):
    file = io.BytesIO()
    Image.new("1", (4900, 5000)).save(file, "PNG")
    picture = base64.b64encode(file.getvalue()).decode()
    status, answer = digits.post("/predict", {"images": [picture] * 4})
    assert status == 422
    problems = answer["error"]["problems"]
    assert [p["field"] for p in problems] == ["images[2]", "images[3]"]
    assert "too many pixels in one request" in problems[0]["reason"]


def test_texts(words, words_model):
    status, answer = words.post("/predict", {"texts": ["good fine film", "", "ünknown £"]})
    assert status == 200
    truth = words_model.session.probabilities({"text": ["good fine film", "", "ünknown £"]})
    found = np.array([row["probabilities"] for row in answer["predictions"]])
    np.testing.assert_allclose(found, truth.numpy(), atol=1e-6)
    assert words.post("/predict", {"text": 3})[0] == 422
    assert words.post("/predict", {"text": "a\0b"})[0] == 422


def test_values(shared, prices_model):
    client = shared(prices_model)
    row = {"town": "Ulm", "member": True, "joined": "2021-05-31"}
    _, answer = client.post("/predict", {"row": row})
    assert answer["classes"] == ["age"]
    assert answer["calibration"]["method"] == "none"
    feed = {"town": ["Ulm"], "member": [1.0], "joined": [18778.0]}
    truth = prices_model.session.predict_raw(feed).item()
    assert answer["predictions"][0]["values"] == [pytest.approx(truth, rel=1e-6)]


def test_row_without_a_finite_answer_is_refused_and_its_batch_answered(people):
    status, answer = people.post("/predict", {"row": {**ROW, "age": 3e38, "joined": 3e38}})
    if status == 200:  # the network may stay finite
        assert all(math.isfinite(p) for p in answer["predictions"][0]["probabilities"])
    else:
        assert status == 422
        assert "no finite number" in answer["error"]["problems"][0]["reason"]


def test_metadata_describes_the_form(people, digits):
    about = people.get("/metadata")[1]
    kinds = {c["name"]: c["kind"] for c in about["input"]["columns"]}
    assert kinds == {"age": "number", "town": "category", "member": "boolean", "joined": "date"}
    assert about["examples"] is None
    assert about["attack"]["possible"] is False
    assert digits.get("/metadata")[1]["attack"]["possible"] is True


def test_radius_is_proved_below_and_broken_above(digits, digits_model, digit):
    status, found = digits.post("/radius", {"image": digit.tolist()})
    assert status == 200
    assert found["complete"]
    assert 0 < found["proved"] < found["broken"]
    status, attacked = digits.post("/attack", {"image": digit.tolist(), "radius": found["broken"]})
    assert attacked["fooled"]
    png = base64.b64decode(attacked["image"].partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    change = np.abs(pixels.astype(int) - digit[0]).max()
    assert 0 < change <= found["broken"]
    _, again = digits.post("/predict", {"image": pixels.tolist()})
    assert again["predictions"][0]["label"] == attacked["label"]
    before = int(expected(digits_model, digit).argmax())
    assert attacked["label"] != str(before)


def test_radius_is_for_images(people, digits, digit):
    assert people.post("/radius", {"row": ROW})[0] == 422
    for radius in (0, 256, 1.5, "3", None, True):
        body = {"image": digit.tolist(), "radius": radius}
        status, answer = digits.post("/attack", body)
        assert status == 422
        assert answer["error"]["problems"][0]["field"] == "radius"


def test_feedback_becomes_accuracy(serve, digits_model, digits_task, tmp_path):
    client = serve(digits_model)
    pixels = (digits_task.validation.take(range(20)) * 255).round().int()
    _, answer = client.post("/predict", {"images": pixels.tolist()})
    right = 0
    for row, y in zip(answer["predictions"], digits_task.validation.y[:20].tolist(), strict=True):
        truth = digits_task.schema.target.classes[y]
        right += row["label"] == truth
        assert client.post("/feedback", {"id": row["id"], "truth": truth})[0] == 200
    found = client.get("/monitor")[1]
    assert found["accuracy"]["value"] == right / 20
    assert found["accuracy"]["n"] == 20
    assert found["accuracy"]["low"] < right / 20 <= found["accuracy"]["high"]
    assert found["logged"] == 20
    # A second telling replaces the first.
    wrong = next(c for c in answer["classes"] if c != answer["predictions"][0]["label"])
    client.post("/feedback", {"id": answer["predictions"][0]["id"], "truth": wrong})
    assert client.get("/monitor")[1]["accuracy"]["n"] == 20


def test_feedback_that_cannot_be_used(serve, digits_model, digit):
    client = serve(digits_model)
    _, answer = client.post("/predict", {"image": digit.tolist()})
    identifier = answer["predictions"][0]["id"]
    assert client.post("/feedback", {"id": "0" * 32, "truth": "3"})[0] == 404
    assert client.post("/feedback", {"id": identifier, "truth": "eleven"})[0] == 422
    assert client.post("/feedback", {"id": identifier, "truth": ["3"]})[0] == 422
    assert client.post("/feedback", {"id": 5, "truth": "3"})[0] == 422
    assert client.post("/feedback", [1])[0] == 422


def test_log_that_cannot_be_written_answers_nobody(serve, digits_model, digit, tmp_path):
    log = Log(f"sqlite:///{tmp_path / 'log.db'}")
    client = serve(digits_model, log=log)
    import sqlite3

    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("DROP TABLE predictions")
    status, headers, answer = client.ask("POST", "/predict", {"image": digit.tolist()})
    assert status == 503
    assert headers["retry-after"] == "5"
    assert "cannot be written" in answer["error"]["message"]


def test_metrics_count_what_happened(serve, digits_model, digit):
    client = serve(digits_model)
    for _ in range(3):
        client.post("/predict", {"images": [digit.tolist()] * 2})
    client.post("/predict", {"image": 5})
    text = client.get("/metrics")[1].decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert lines["netwright_rows_total"] == "6"
    assert lines['netwright_requests_total{path="/predict",status="200"}'] == "3"
    assert lines['netwright_requests_total{path="/predict",status="422"}'] == "1"
    assert lines['netwright_batch_rows_bucket{le="+Inf"}'] == "3"
    assert lines["netwright_request_seconds_count"] == "4"


def test_pages_and_health(digits):
    assert digits.get("/health") == (200, {"status": "ok"})
    assert digits.get("/ready") == (200, {"ready": True})
    status, headers, page = digits.ask("GET", "/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert page.startswith(b"<!doctype html>")
    assert digits.get("/openapi.json")[1]["paths"]["/predict"]["post"]["requestBody"]
    assert digits.get("/docs")[0] == 404  # it would load scripts from elsewhere


@pytest.mark.parametrize(
    "path",
    [
        "/static/../_app.py",
        "/static/%2e%2e/_app.py",
        "/static/..%2f_app.py",
        "/static//etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/static/",
        "/v2/models/..%2f..%2fetc/infer",
    ],
)
def test_paths_lead_nowhere_else(digits, path):
    assert digits.get(path)[0] in (404, 405)


def test_token(serve, digits_model, digit):
    client = serve(digits_model, token="s3cret", log=None)
    body = {"image": digit.tolist()}
    status, headers, _ = client.ask("POST", "/predict", body)
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert Client(client.port, token="wrong").post("/predict", body)[0] == 401
    assert Client(client.port, token="s3cret").post("/predict", body)[0] == 200
    for path, status in (("/", 200), ("/health", 200), ("/metrics", 401), ("/metadata", 401)):
        assert client.get(path)[0] == status


def test_other_names_and_other_pages_are_turned_away(serve, digits_model):
    client = serve(digits_model, hosts=("127.0.0.1", "localhost"), log=None)
    assert client.get("/health")[0] == 200
    assert client.get("/health", headers={"Host": "evil.example"})[0] == 403  # DNS rebinding
    assert client.get("/health", headers={"Origin": "https://evil.example"})[0] == 403
    own = f"http://127.0.0.1:{client.port}"
    assert client.get("/health", headers={"Origin": own})[0] == 200


def test_large_bodies_are_turned_away_before_they_are_read(serve, digits_model):
    client = serve(digits_model, most_bytes=1000, log=None)
    status, answer = client.post("/predict", b"x" * 1001, kind="image/png")
    assert status == 413
    assert "at most 1,000 bytes" in answer["error"]["message"]
    chunks = iter([b"y" * 600, b"y" * 600])
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.request(
        "POST", "/predict", chunks, {"Content-Type": "image/png"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_too_many_open_requests_are_turned_away(serve, digits_model, digit):
    client = serve(digits_model, most_open=0, log=None)
    status, headers, answer = client.ask("POST", "/predict", {"image": digit.tolist()})
    assert status == 429
    assert headers["retry-after"] == "1"
    assert client.get("/health")[0] == 200


def test_body_that_never_comes_is_given_up(serve, digits_model):
    client = serve(digits_model, body_seconds=0.2, log=None)
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", "100")
    connection.putheader("Content-Type", "application/json")
    connection.endheaders(b"{")
    answer = connection.getresponse()
    assert answer.status == 408
    assert "within 0.2 s" in json.loads(answer.read())["error"]["message"]
    connection.close()
