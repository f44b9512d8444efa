import itertools

import pytest
import torch
from torch import nn

from netwright._rng import seeded
from netwright.audits.attack import (
    misspelled,
    near_in_meaning,
    near_in_spelling,
    text_search,
    word_changes,
)

WORDS = ("good", "fine", "bad", "poor", "film", "the", "god", "then", "filmy")


class Bag(nn.Module):
    """Adds up a weight for each word."""

    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, tokens):
        score = self.weights[tokens].sum(1)
        return torch.stack([-score, score], 1)


def tokens_of(*texts):
    longest = max(len(text.split()) for text in texts)
    rows = [[WORDS.index(w) + 2 if w in WORDS else 1 for w in text.split()] for text in texts]
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


@pytest.mark.oracle
def test_all_that_brute_force_finds_in_a_bag_of_words_is_found(generator):
    n_words, n_near = 12, 2
    network = Bag([0.0, 0.0, *torch.randn(n_words, generator=generator).tolist()]).eval()
    candidates = torch.randint(2, n_words + 2, (n_words + 2, n_near), generator=generator)
    candidates[:2] = torch.tensor([[0], [1]])
    tokens = torch.randint(0, n_words + 2, (80, 5), generator=generator)
    y = network(tokens).argmax(1)
    found = text_search(network, tokens, y, candidates=candidates, n_changes=2)
    possible = []
    for text, label in zip(tokens, y, strict=True):
        options = [[t, *candidates[t].tolist()] for t in text.tolist()]
        every = torch.tensor(list(itertools.product(*options)))
        few = (every != text).sum(1) <= 2
        possible.append(bool((network(every[few]).argmax(1) != label).any()))
    possible = torch.tensor(possible)
    assert not (found.fooled & ~possible).any() and 20 < possible.sum() < 80
    # Greedy by importance is not always best, even where words simply add up.
    assert found.fooled.sum() >= 0.85 * possible.sum()


def test_only_candidates_of_the_table_are_used_and_padding_stays(generator):
    with seeded(0):
        table = nn.Embedding(20, 4)
    network = Bag([0.0, 0.0, *torch.randn(18, generator=generator).tolist()]).eval()
    candidates = near_in_meaning(table.weight.detach(), n=3, least_similarity=-1.0)
    tokens = torch.randint(0, 20, (50, 7), generator=generator)
    tokens[:, 5:] = 0
    y = network(tokens).argmax(1)
    found = text_search(network, tokens, y, candidates=candidates, n_changes=3)
    changed = found.x != tokens
    assert (changed.sum(1) <= 3).all() and not changed[tokens < 2].any() and changed.any()
    for before, after in zip(tokens[changed], found.x[changed], strict=True):
        assert after in candidates[before]
    assert torch.equal(network(found.x).argmax(1) != y, found.fooled) and found.fooled.any()
    assert found.n_gradients == 0 and found.n_queries > tokens.numel()


def test_the_most_telling_word_goes_first():
    network = Bag([0.0, 0.0, 3.0, 0.5, -3.0, -0.5, 0.0, 0.0, 0.1, 0.0, 0.0]).eval()
    candidates = near_in_spelling(WORDS)
    text = tokens_of("the good film then")
    found = text_search(network, text, torch.tensor([1]), candidates=candidates, n_changes=1)
    ((place, before, after),) = word_changes(text[0], found.x[0], WORDS)
    assert (place, before) == (1, "good") and after not in ("good", "bad")


def test_one_edit_away_in_spelling():
    near = {
        word: {WORDS[t - 2] if t > 1 else "?" for t in row if t != place + 2}
        for place, (word, row) in enumerate(
            zip(WORDS, near_in_spelling(WORDS)[2:].tolist(), strict=True)
        )
    }
    assert near["good"] == {"?", "god"} and near["god"] == {"good"}
    assert near["film"] == {"?", "filmy"} and near["the"] == {"then"}
    assert near["poor"] == {"?"}
    swapped = near_in_spelling(["form", "from"], n=2)
    assert swapped[2].tolist() == [1, 3]


def test_any_character_of_a_chain_may_become_any_other():
    found = near_in_spelling(list("ACGT"), n=8)
    assert [set(row) - {own} for own, row in enumerate(found.tolist())][2:] == [
        {2, 3, 4, 5} - {own} for own in range(2, 6)
    ]
    network = Bag([0.0, 0.0, 1.0, 1.0, -1.0, 3.0]).eval()  # T says most
    chain, y = torch.tensor([[5, 2, 4, 0]]), torch.tensor([1])
    attacked = text_search(network, chain, y, candidates=found, n_changes=1)
    assert attacked.fooled.all()
    assert word_changes(chain[0], attacked.x[0], list("ACGT")) == ((0, "T", "G"),)


def test_misspellings_are_no_words_and_stay_readable():
    for word in ("terrible", "aaaa", "film"):
        edit = misspelled(word, {"film", "flim"})
        assert edit != word or word == "aaaa"
        assert edit not in {"film", "flim"}
        assert edit[0] == word[0] and edit[-1] == word[-1]


def test_neighbours_are_those_of_the_largest_cosine(generator):
    vectors = torch.randn(30, 6, generator=generator)
    found = near_in_meaning(vectors, n=4, least_similarity=0.2)
    cosine = nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    for word in range(2, 30):
        others = [w for w in range(2, 30) if w != word and cosine[word, w] >= 0.2]
        expected = sorted(others, key=lambda w, word=word: -cosine[word, w].item())[:4]
        assert [t for t in found[word].tolist() if t != word] == expected
    assert found[0].tolist() == [0] * 4 and found[1].tolist() == [1] * 4


def test_errors_name_the_argument():
    network = Bag([0.0] * 5).eval()
    text, y = torch.tensor([[4, 2]]), torch.tensor([0])
    with pytest.raises(ValueError, match="rows for tokens 0 to 2; `tokens` holds 4"):
        text_search(network, text, y, candidates=torch.zeros(3, 1).long())
    with pytest.raises(ValueError, match="`n_changes` must be at least 1"):
        text_search(network, text, y, candidates=torch.zeros(5, 1).long(), n_changes=0)
    with pytest.raises(ValueError, match="`n` must be at least 1"):
        near_in_spelling(WORDS, n=0)
