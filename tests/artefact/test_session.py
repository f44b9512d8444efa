import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from netwright.artefact import ArtefactError, Session, to_onnx
from tests.artefact.shipped_networks import (
    DIGITS,
    PEOPLE,
    REVIEWS,
    bag_of_words,
    small_cnn,
    table_mlp,
)

CLOSE = {"atol": 1e-6, "rtol": 0}  # a few rounding errors of float32 on outputs near 1


@pytest.fixture
def ship(tmp_path):
    def write(network, schema, sample):
        path = tmp_path / "model.onnx"
        path.write_bytes(to_onnx(network, schema, sample=sample))
        return Session(path)

    return write


@pytest.fixture
def foreign(tmp_path):
    """A file of another origin: y = x @ ones, with a batch size of its own."""

    def write(shape):
        graph = helper.make_graph(
            [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)],
            "foreign",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        )
        graph.node[0].input.append("axes")
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, tmp_path / "foreign.onnx")
        return Session(tmp_path / "foreign.onnx")

    return write


def test_table_from_cells_and_from_features(ship):
    network = table_mlp().eval()
    x = torch.tensor([[40.5, 2, 1, 100], [float("nan"), 0, float("nan"), 0]])
    session = ship(network, PEOPLE, x)
    assert session.inputs == ("age", "town", "member", "since")
    cells = {
        "age": [40.5, None],
        "town": ["Rome", "Atlantis"],
        "member": [1, None],
        "since": [100, 0],
    }
    torch.testing.assert_close(session.predict_raw(cells), network(x), **CLOSE)
    torch.testing.assert_close(session.predict(x), network(x), **CLOSE)
    torch.testing.assert_close(session.predict_raw(session.raw_feed(x)), network(x), **CLOSE)


def test_text_from_words_and_from_features(ship):
    network = bag_of_words().eval()
    x = torch.tensor([[2, 3, 1, 6, 0, 0], [0] * 6, [5] * 6])
    session = ship(network, REVIEWS, x)
    texts = {"text": ["The GOOD film!", "", "É é É é É é!!!"]}
    torch.testing.assert_close(session.predict_raw(texts), network(x), **CLOSE)
    torch.testing.assert_close(session.predict(x), network(x), **CLOSE)
    torch.testing.assert_close(session.predict_raw(session.raw_feed(x)), network(x), **CLOSE)
    assert session.probabilities(texts).shape == (3, 2)


@pytest.mark.parametrize(
    ("network", "schema", "sample"),
    [
        (small_cnn(), DIGITS, torch.zeros(1, 1, 8, 8)),
        (table_mlp(), PEOPLE, torch.zeros(1, 4)),
        (bag_of_words(), REVIEWS, torch.zeros(1, 6, dtype=torch.int64)),
    ],
    ids=["image", "table", "text"],
)
def test_schema_travels_in_the_file_all_but_quantiles(ship, network, schema, sample):
    import dataclasses

    columns = tuple(dataclasses.replace(c, quantiles=()) for c in schema.input.columns)
    expected = dataclasses.replace(schema, input=dataclasses.replace(schema.input, columns=columns))
    assert ship(network, schema, sample).schema == expected


def test_file_of_another_origin_runs_as_it_is(foreign):
    session = foreign(["n", 3])
    assert (session.schema, session.classes, session.inputs) == (None, (), ("x",))
    assert session.predict(torch.ones(4, 3)).tolist() == [[3.0]] * 4
    with pytest.raises(ArtefactError, match="has no schema"):
        session.raw_feed(torch.ones(4, 3))


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_fixed_batch_size_is_worked_around(foreign, rows):
    session = foreign([2, 3])
    x = torch.arange(3.0 * rows).reshape(rows, 3)
    assert torch.equal(session.predict(x), x.sum(1, keepdim=True))


def test_rows_that_do_not_fit_are_an_error(foreign, ship):
    with pytest.raises(ArtefactError, match=r"cannot take `x` float32\(4, 2\)"):
        foreign(["n", 3]).predict(torch.ones(4, 2))
    with pytest.raises(ArtefactError, match="cannot take"):
        ship(small_cnn(), DIGITS, torch.zeros(1, 1, 8, 8)).predict(torch.zeros(1, 1, 9, 8))


def test_predict_needs_one_input(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        "two",
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "ab"],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "two.onnx")
    session = Session(tmp_path / "two.onnx")
    with pytest.raises(ArtefactError, match=r"has 2 inputs \(a, b\)"):
        session.predict(torch.ones(1))
    assert session.predict_raw({n: np.ones(1, np.float32) for n in "ab"}).tolist() == [2.0]


def test_missing_file():
    with pytest.raises(FileNotFoundError):
        Session("nowhere.onnx")
