"""Texts that are read character by character, over the wire and in other forms."""

import numpy as np
import pytest

from netwright.serve import read_reference
from netwright.serve._drift import summarise

TEXTS = ["ACGTAgatcACGTacgtACGT", "ACGTAGATCACGTacgtACGT", "ACG\nTAG\u00a0ATC", "é😀", ""]


@pytest.fixture(scope="module")
def chains(shared, chains_model, chains_frame):
    return shared(chains_model, reference=read_reference(chains_model, chains_frame))


def test_small_and_capital_letters_get_answers_of_their_own(chains, chains_model):
    status, answer = chains.post("/predict", {"texts": TEXTS})
    assert status == 200
    assert [row["label"] for row in answer["predictions"][:2]] == ["small", "large"]
    truth = chains_model.answer({"text": np.array(TEXTS, object)})
    said = [row["probabilities"] for row in answer["predictions"]]
    np.testing.assert_allclose(said, truth, atol=1e-5)
    assert chains.get("/metadata")[1]["input"]["tokens"] == "characters"


def test_nearest_examples_are_whole_chains(chains, chains_frame):
    text = chains_frame.dna[0]
    _, answer = chains.post("/predict", {"text": text, "include": ["nearest"]})
    nearest = answer["predictions"][0]["nearest"]
    assert all(each["content"] == chains_frame.dna[each["row"]] for each in nearest)


def test_drift_counts_unknown_characters(chains_model):
    found = summarise({"text": np.array(["ACGT", "AC GT??", ""], object)}, chains_model.schema)
    assert found == {"length": [4, 6, 0], "share of unknown characters": [0, 0.33333, 0]}
