"""The preprocessing in the graph makes what `netwright.data` makes."""

import csv
import gzip

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from netwright.artefact._raw import input_names, known_words, preprocessing
from netwright.data import Column, Input, Schema, Target
from netwright.data._text import encode_text, fit_vocabulary, number_tokens, small_letters
from tests.artefact.shipped_networks import REVIEWS, WORDS

NOT_LOWERED = ("\u0130", "\u212a")


def run_preprocessing(schema, feed):
    from onnx import helper

    raw = preprocessing(schema)
    graph = helper.make_graph(
        raw.nodes, "raw", raw.inputs, [onnx.ValueInfoProto(name="features")], raw.initializers
    )
    sets = [helper.make_opsetid("", 20), *(helper.make_opsetid(*d) for d in raw.domains.items())]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return torch.from_numpy(session.run(["features"], feed)[0]), model


def features_of(texts, schema):
    return run_preprocessing(schema, {"text": np.array(texts, dtype=object)})[0]


def text_schema(vocabulary, length):
    return Schema(Input("text", (length,), vocabulary=tuple(vocabulary)), REVIEWS.target)


def test_every_pixel_value_becomes_the_very_float_that_networks_are_trained_on():
    schema = Schema(Input("image", (1, 16, 16)), Target("class", ("c",), ("a", "b")))
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    made, _ = run_preprocessing(schema, {"image": pixels.numpy()})
    assert torch.equal(made, pixels.float().div_(255))


def test_cells_become_codes_and_numbers():
    columns = (
        Column("town", "category", ("Köln", "Rome", "<script>")),
        Column("age", "number"),
        Column("since", "date"),
        Column("never", "category"),
    )
    schema = Schema(Input("table", (4,), columns=columns), Target("value", ("y",)))
    feed = {
        "town": np.array(["Rome", "", "Oslo", "<script>"], dtype=object),
        "age": np.array([1.5, np.nan, -3e38, np.inf], np.float32),
        "since": np.array([0, 19000.25, -1, np.nan], np.float32),
        "never": np.array(["", "a", "b", "c"], dtype=object),
    }
    made, model = run_preprocessing(schema, feed)
    expected = np.stack([[2, 0, 0, 3], feed["age"], feed["since"], [0] * 4], 1).astype(np.float32)
    np.testing.assert_array_equal(made.numpy(), expected)
    assert known_words(model) == {"town": ("Köln", "Rome", "<script>"), "never": ()}


def test_columns_of_unequal_lengths_are_refused():
    columns = (Column("a", "number"), Column("b", "number"))
    schema = Schema(Input("table", (2,), columns=columns), Target("value", ("y",)))
    feed = {"a": np.zeros(3, np.float32), "b": np.zeros(1, np.float32)}
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail, match="must match"):
        run_preprocessing(schema, feed)


def test_names_that_are_taken_get_an_underscore():
    columns = tuple(Column(n, "number") for n in ("features", "features_", "", "logits", "x"))
    schema = Schema(Input("table", (5,), columns=columns), Target("value", ("y",)))
    assert input_names(schema) == ("features_", "features__", "column", "logits_", "x")


HARD = [
    "",
    "   \t\n",
    "The GOOD it's good!",
    "it''s 'good'",
    "a\u00a0b\u3000c\u2028d\x1ce\x85f\x0bg",
    "É é ÀÉ 日本 😀😀 e\u0301",
    "Ω ω \u2126 \u212b å Å",
    "\x00 nul\x00inside",
    "x" * 10_000 + " good",
    "good " * 10_000,
    "!!!???...",
    "don\u2019t",
    "\ufeffthe",
]


@pytest.mark.oracle
@pytest.mark.parametrize("place", range(len(HARD)))
def test_hard_texts_become_the_same_tokens(place):
    schema = text_schema((*WORDS, "'good'", "it''s", "\u0301", "?"), 12)
    for texts in ([HARD[place]], [HARD[place], "the", ""]):
        assert torch.equal(features_of(texts, schema), encode_text(texts, schema.input))


@pytest.mark.oracle
def test_every_character_of_the_first_two_planes_becomes_the_same_tokens():
    characters = [chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    texts = [f"a{c}B {c}" for c in characters]
    corpus = number_tokens(texts)
    # Every fourth token is known, so that known and unknown ones are both met.
    schema = text_schema(sorted(corpus.tokens)[::4][:30_000], 6)
    assert torch.equal(features_of(texts, schema), encode_text(texts, schema.input))


@pytest.mark.oracle
def test_letters_with_two_cases_meet_in_the_vocabulary():
    pairs = {chr(a): chr(b) for a, b in small_letters().items()}
    assert {c for c in map(chr, range(0x20000)) if c.lower() != c} - set(pairs) == set(NOT_LOWERED)
    schema = text_schema(sorted(set(pairs.values())), 2)
    texts = list(pairs)
    made = features_of(texts, schema)
    assert torch.equal(made, encode_text(texts, schema.input))
    assert (made[:, 0] > 1).all()


def test_letters_without_one_small_letter_of_their_own_kind_stay():
    # A dotted capital I has two small letters, the Kelvin sign an ASCII one; a capital sigma has
    # the one small letter in ONNX Runtime, wherever it stands.
    schema = text_schema(("\u0130", "\u212a", "\u03c3", "k", "i", "\u03c2"), 4)
    made = features_of(["\u0130\u212a", "\u0391\u03a3"], schema)
    assert made.tolist() == [[2, 3, 0, 0], [1, 4, 0, 0]]
    assert torch.equal(made, encode_text(["\u0130\u212a", "\u0391\u03a3"], schema.input))


def test_vocabulary_is_read_back_without_the_capitals_beside_it():
    _, model = run_preprocessing(REVIEWS, {"text": np.array(["x"], dtype=object)})
    assert known_words(model) == {"text": WORDS}


def chains(*vocabulary, length=8):
    return Schema(
        Input("text", (length,), vocabulary=vocabulary, tokens="characters"), REVIEWS.target
    )


@pytest.mark.oracle
@pytest.mark.parametrize("place", range(len(HARD)))
@pytest.mark.parametrize("blank", ["", " "])
def test_hard_chains_become_the_same_characters(place, blank):
    schema = chains("G", "O", "D", "d", "\u0301", "?", *blank, length=12)
    for texts in ([HARD[place]], [HARD[place], "GOD", "", "  "]):
        assert torch.equal(features_of(texts, schema), encode_text(texts, schema.input))


@pytest.mark.oracle
@pytest.mark.parametrize("blank", ["", " "])
def test_every_character_of_the_first_two_planes_counts_as_itself(blank):
    known = [chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    texts = [f"a{c}B {c}" for c in known]
    every_fourth = [c for c in known if not c.isspace()][::4]
    schema = chains(*every_fourth, *blank, length=6)
    assert torch.equal(features_of(texts, schema), encode_text(texts, schema.input))


def test_capitals_and_small_letters_of_a_chain_are_two():
    _, model = run_preprocessing(chains("c", "C", "l"), {"text": np.array(["x"], dtype=object)})
    assert known_words(model) == {"text": ("c", "C", "l")}
    assert features_of(["CCl c\n"], chains("c", "C", "l")).tolist() == [[3, 3, 4, 2, 0, 0, 0, 0]]
    assert features_of(["C c"], chains("c", "C", " "))[0, :3].tolist() == [3, 4, 2]


@pytest.mark.oracle
def test_chains_of_2048_and_more_are_cut_to_length():
    texts = [("ACGTTGA" * 800)[:n] for n in (2047, 2048, 2049, 5000)]
    schema = chains(*"ACGT", length=2048)
    made = features_of(texts, schema)
    assert made.shape == (4, 2048) and int((made == 0).sum()) == 1
    assert torch.equal(made, encode_text(texts, schema.input))


def test_vocabulary_may_be_empty():
    assert features_of(["the good", ""], text_schema((), 3)).tolist() == [[1, 1, 0], [0, 0, 0]]


def test_large_vocabulary_is_numbered_beyond_16_bits():
    words = [f"w{i}" for i in range(40_000)]
    made = features_of(["w0 w39999 w32766"], text_schema(words, 3))
    assert made.tolist() == [[2, 40_001, 32_768]]


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["rt_polarity", "ag_news_test", "movie_reviews_2k"])
def test_real_texts_become_the_same_tokens(shared_data, name):
    with gzip.open(shared_data / "text" / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = [row.get("text") or f"{row.get('title')} {row.get('description')}" for row in rows][
        :4000
    ]
    corpus = number_tokens(texts)
    vocabulary, length = fit_vocabulary(corpus, np.ones(len(texts), bool))
    schema = text_schema(vocabulary, length)
    made = features_of(texts, schema)
    assert torch.equal(made, encode_text(texts, schema.input))
    assert (made > 1).float().mean() > 0.2
