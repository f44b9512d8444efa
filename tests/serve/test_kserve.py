"""The Open Inference Protocol."""

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def digits(shared, digits_model):
    return shared(digits_model)


@pytest.fixture(scope="module")
def people(shared, people_model):
    return shared(people_model)


def tensor(name, kind, shape, data):
    return {"name": name, "datatype": kind, "shape": shape, "data": data}


def people_request(**changed):
    tensors = {
        "age": tensor("age", "FP32", [2], [30, None]),
        "town": tensor("town", "BYTES", [2], ["Ulm", ""]),
        "member": tensor("member", "FP32", [2, 1], [[1], [0]]),
        "joined": tensor("joined", "FP32", [2], [18778.0, 18000]),
    } | changed
    return {"inputs": [t for t in tensors.values() if t]}


def test_server_and_model_describe_themselves(digits):
    assert digits.get("/v2")[1]["name"] == "netwright"
    assert digits.get("/v2/health/live") == (200, {"live": True})
    assert digits.get("/v2/health/ready") == (200, {"ready": True})
    status, about = digits.get("/v2/models/model")
    assert status == 200
    assert about["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, 8, 8]}]
    assert about["outputs"][0] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}
    (version,) = about["versions"]
    assert digits.get(f"/v2/models/model/versions/{version}/ready")[1]["ready"] is True
    assert digits.get("/v2/models/other")[0] == 404
    assert digits.get("/v2/models/model/versions/1")[0] == 404


def test_images_nested_or_flat(digits, digits_model, digit):
    truth = digits_model.session.predict(torch.from_numpy(digit)[None].float() / 255).softmax(1)
    shape = [1, 1, 8, 8]
    for data in (digit[None].tolist(), digit.flatten().tolist()):
        body = {"id": "seven", "inputs": [tensor("image", "UINT8", shape, data)]}
        status, answer = digits.post("/v2/models/model/infer", body)
        assert status == 200
        assert answer["id"] == "seven"
        made = {output["name"]: output for output in answer["outputs"]}
        assert made["probabilities"]["shape"] == [1, 10]
        np.testing.assert_allclose(made["probabilities"]["data"], truth[0].numpy(), atol=1e-5)
        assert made["label"]["data"] == [str(int(truth.argmax()))]


def test_only_the_outputs_that_are_asked_for(digits, digit):
    body = {
        "inputs": [tensor("image", "UINT8", [1, 1, 8, 8], digit.tolist())],
        "outputs": [{"name": "label"}],
    }
    _, answer = digits.post("/v2/models/model/infer", body)
    assert [output["name"] for output in answer["outputs"]] == ["label"]
    body["outputs"] = [{"name": "logits"}]
    status, answer = digits.post("/v2/models/model/infer", body)
    assert status == 400
    assert "probabilities, label" in answer["error"]


def test_tables(people, people_model):
    status, answer = people.post("/v2/models/model/infer", people_request())
    assert status == 200
    feed = {
        "age": [30, float("nan")],
        "town": ["Ulm", ""],
        "member": [1, 0],
        "joined": [18778, 18000],
    }
    truth = people_model.session.probabilities(feed).numpy().flatten()
    np.testing.assert_allclose(answer["outputs"][0]["data"], truth, atol=1e-6)


WRONG = {
    "missing": ({"age": None}, "`age` is missing; it is FP32"),
    "kind": ({"age": tensor("age", "INT64", [2], [1, 2])}, "`datatype` must be FP32"),
    "shape": ({"age": tensor("age", "FP32", [2, 3], [1] * 6)}, "`shape` must be [rows, ]"),
    "no shape": ({"age": tensor("age", "FP32", None, [1])}, "`shape` must be a list"),
    "negative": ({"age": tensor("age", "FP32", [-1], [])}, "`shape` must be a list of sizes"),
    "too few": ({"age": tensor("age", "FP32", [2], [1])}, "`data` must hold 2 values; got 1"),
    "too many rows": ({"age": tensor("age", "FP32", [10**9], [1])}, "1 to 256 rows"),
    "words": ({"age": tensor("age", "FP32", [2], ["1", "2"])}, "must hold numbers"),
    "too large": ({"age": tensor("age", "FP32", [2], [1e39, 1])}, "within 3.4e+38"),
    "numbers": ({"town": tensor("town", "BYTES", [2], [1, 2])}, "must hold texts"),
    "surrogate": ({"town": tensor("town", "BYTES", [2], ["\ud800", ""])}, "half a surrogate"),
    "deep": ({"age": tensor("age", "FP32", [2], [[[[[[[1]]]]]]])}, "got deeper lists"),
    "unequal": ({"age": tensor("age", "FP32", [1], [1])}, "equally long; got [1, 2]"),
    "unknown": ({"z": tensor("z", "FP32", [2], [1, 2])}, "`z` is no input"),
    "binary": ({"age": {"name": "age", "datatype": "FP32", "shape": [2]}}, "must be a list"),
}


@pytest.mark.parametrize("changed, message", WRONG.values(), ids=WRONG)
def test_fault_of_a_tensor_is_named(people, changed, message):
    status, answer = people.post("/v2/models/model/infer", people_request(**changed))
    assert status == 400
    assert message in answer["error"]


def test_request_that_is_none(people):
    for body in ({}, [], {"inputs": {}}, {"inputs": [3]}, {"inputs": [{"name": 3}]}):
        assert people.post("/v2/models/model/infer", body)[0] == 400
