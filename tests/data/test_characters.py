"""Texts that are chains of characters: recognised, cut, and told apart by their capitals."""

import numpy as np
import pandas as pd
import pytest
import torch

from netwright.data import Input, describe, encode_text, load, schema_from_toml, schema_to_toml
from netwright.data._near import near_texts
from netwright.data._text import characters, cutter, has_no_words, number_tokens

WORDS = ["a word", "another one"]


@pytest.fixture
def chains(rng):
    letters = np.array(list("ACGT"))
    return ["".join(letters[rng.integers(0, 4, n)]) for n in rng.integers(20, 40, 60)]


@pytest.fixture
def frame(chains):
    return pd.DataFrame({"dna": chains, "label": ["in", "out"] * 30})


def test_chains_are_long_and_without_blanks(chains):
    assert has_no_words([*chains, None, ""]) and has_no_words([f" {c}\n" for c in chains])
    assert not has_no_words([*chains[:59], "two words"] * 3)
    assert not has_no_words([c[:15] for c in chains]) and not has_no_words([])


def test_a_lone_column_of_chains_is_the_text(frame):
    task = load(frame, target="label")
    inputs = task.schema.input
    assert (inputs.kind, inputs.tokens, inputs.text_columns) == ("text", "characters", ("dna",))
    assert sorted(inputs.vocabulary) == list("ACGT") and 20 <= inputs.shape[0] < 40
    assert any("cut into characters, since it holds hardly any blanks" in n for n in task.notes)
    assert "4 known characters" in describe(task.schema)
    shown = ["".join(inputs.vocabulary[t - 2] for t in row if t) for row in task.train.x.tolist()]
    assert shown == [frame.dna[i][: inputs.shape[0]] for i in task.train.rows.tolist()]


def test_what_is_cut_can_be_said(frame):
    words = load(frame, target="label", text="dna", schema={"dna": "text"})
    assert words.schema.input.tokens == "words"
    assert not any("characters" in note for note in words.notes)
    short = frame.assign(dna=[c[:6] for c in frame.dna])
    forced = load(short, target="label", schema={"dna": "characters"})
    assert forced.schema.input.tokens == "characters"
    assert any("characters, as `schema` says" in note for note in forced.notes)
    assert load(short, target="label", text="dna").schema.input.tokens == "words"


def test_beside_other_columns_chains_are_left_out_by_name(frame):
    task = load(frame.assign(n=np.arange(60) * 1.5), target="label")
    assert task.schema.input.kind == "table"
    assert any("`dna` left out: characters without blanks; name it" in n for n in task.notes)


def test_case_is_kept_and_blanks_between_blocks_are_not():
    inputs = Input("text", (8,), vocabulary=("c", "C", "l"), tokens="characters")
    assert encode_text([" CCl\nc c"], inputs).tolist() == [[3, 3, 4, 2, 2, 0, 0, 0]]
    with_blank = Input("text", (4,), vocabulary=("c", " "), tokens="characters")
    assert encode_text(["c c", None], with_blank).tolist() == [[2, 3, 2, 0], [0] * 4]
    assert cutter(inputs) is characters


def test_blanks_count_in_texts_that_have_them_and_between_columns(chains):
    half = [f"{c[:9]} {c[9:]}" for c in chains]
    labels = ["in", "out"] * 30
    spaced = pd.DataFrame({"t": half, "label": labels})
    assert " " in load(spaced, target="label", schema={"t": "characters"}).schema.input.vocabulary
    both = pd.DataFrame({"a": chains, "b": chains[::-1], "label": labels})
    inputs = load(both, target="label", text=["a", "b"]).schema.input
    assert inputs.tokens == "characters" and " " in inputs.vocabulary


def test_a_blank_that_no_training_row_has_is_known_all_the_same(chains):
    frame = pd.DataFrame({"t": [c[:9] for c in chains], "label": ["in", "out"] * 30})
    frame["split"] = ["train"] * 30 + ["validation", "calibration", "test"] * 10
    frame.loc[32, "t"] = "AC GT"
    task = load(frame, target="label", split="split", schema={"t": "characters"})
    split = task.test.open("test")
    place = split.rows.tolist().index(32)
    assert encode_text(["AC GT"], task.schema.input)[0].tolist() == split.x[place].tolist()
    assert split.x[place].count_nonzero() == 5


def test_chains_may_be_2048_long(rng):
    texts = ["".join(np.array(list("ACGT"))[rng.integers(0, 4, 3000)]) for _ in range(20)]
    task = load(pd.DataFrame({"t": texts, "label": [0, 1] * 10}), target="label")
    assert task.schema.input.shape == (2048,)
    assert "20 texts were cut to 2048 characters." in task.notes


def test_a_schema_brings_its_characters_along(frame):
    task = load(frame, target="label")
    bare = schema_from_toml(schema_to_toml(task.schema, statistics=False))
    again = load(frame, schema=bare)
    assert again.schema.input == task.schema.input
    assert torch.equal(load(frame, schema=task.schema).train.x, task.train.x)


def test_chains_of_few_letters_are_not_nearly_the_same_for_that(rng):
    # Every sequence of three letters occurs in both; of eight, hardly any does.
    texts = ["".join(np.array(list("ACGT"))[rng.integers(0, 4, 500)]) for _ in range(40)]
    texts.append(f"{texts[0][:250]}T{texts[0][251:]}")
    corpus = number_tokens(texts, characters)
    split = np.array([0] * 30 + [3] * 11)
    assert near_texts(corpus, split, together=8).tolist() == [[0, 40]]
    assert len(near_texts(corpus, split)) > 1
