import re

import numpy as np
import pytest

from netwright.data import Input, encode_text, tokenize
from netwright.data._text import TOKEN, fit_vocabulary, number_tokens, pad

TEXTS = ["The cat sat.", "The DOG sat!", "It's ünique", None, ""]


def test_tokens():
    assert tokenize("It's 5 o'clock — né?") == ["it's", "5", "o'clock", "—", "n", "é", "?"]


def test_vocabulary_is_of_training_rows_and_most_frequent_first():
    corpus = number_tokens(["b b b a a", "c c", "zzz zzz zzz zzz"])
    vocabulary, _ = fit_vocabulary(corpus, np.array([True, True, False]))
    assert vocabulary == ("b", "a", "c")


def test_tokens_that_occur_once_are_known_up_to_20_000():
    vocabulary, _ = fit_vocabulary(number_tokens(["a a once"]), np.array([True]))
    assert vocabulary == ("a", "once")
    many = number_tokens([" ".join(f"w{i}" for i in range(25_000)) + " w24999"])
    vocabulary, _ = fit_vocabulary(many, np.array([True]))
    assert len(vocabulary) == 20_000 and vocabulary[0] == "w24999"


def test_length_fits_99_of_100_rows_between_8_and_512(rng):
    def length(lengths):
        texts = number_tokens(["x " * n for n in lengths])
        return fit_vocabulary(texts, np.ones(len(lengths), bool))[1]

    assert length([3, 4]) == 8
    assert length([20] * 995 + [400] * 5) == 20
    assert length([20] * 980 + [400] * 20) == 400
    assert length([2000] * 10) == 512


def test_rows_are_padded_cut_and_numbered_from_two():
    rows = pad(number_tokens(TEXTS), ("sat", "the"), 3)
    assert rows.tolist() == [[3, 1, 2], [3, 1, 2], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_a_slice_of_the_texts_is_padded_alike():
    corpus = number_tokens(TEXTS)
    whole = pad(corpus, ("sat",), 4)
    assert (pad(corpus, ("sat",), 4, slice(1, 3)) == whole[1:3]).all()


@pytest.mark.oracle
def test_numbering_agrees_with_a_plain_loop(rng):
    letters = list("ab ' .?é1")
    texts = ["".join(rng.choice(letters, rng.integers(0, 30))) for _ in range(200)]
    vocabulary = ("a", "b", "ab", ".", "'")
    wanted = np.zeros((200, 12), np.int64)
    for row, text in enumerate(texts):
        for place, token in enumerate(re.findall(TOKEN, text.lower())[:12]):
            wanted[row, place] = vocabulary.index(token) + 2 if token in vocabulary else 1
    inputs = Input("text", (12,), vocabulary=vocabulary)
    assert (encode_text(texts, inputs).numpy() == wanted).all()
