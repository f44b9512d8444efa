import heapq
import itertools

import numpy as np
import pytest

from netwright.compress import code_lengths, code_words, huffman


def total_by_merging(counts):
    """Bits of an unbounded Huffman code: the sum of all merged weights, by a heap."""
    heap = [c for c in counts if c]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


@pytest.mark.oracle
def test_lengths_cost_what_huffmans_tree_costs():
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts = rng.integers(0, 1000, size=rng.integers(2, 40))
        if (counts > 0).sum() < 2:
            continue
        lengths = code_lengths(counts)
        assert int(counts @ lengths) == total_by_merging(counts.tolist())


@pytest.mark.oracle
def test_bounded_lengths_are_the_best_of_all_that_are_possible():
    counts = np.array([1, 1, 2, 4, 9])  # unbounded, the longest word has four bits
    possible = itertools.product(range(1, 4), repeat=5)
    best = min(counts @ np.array(n) for n in possible if sum(2.0**-k for k in n) <= 1)
    found = code_lengths(counts, longest=3)
    assert (found.max(), counts @ found) == (3, best)
    assert code_lengths(counts).max() == 4


def test_words_are_a_complete_prefix_code():
    lengths = code_lengths(np.arange(1, 100) ** 3)
    words = [f"{w:0{n}b}" for w, n in zip(code_words(lengths), lengths, strict=True)]
    assert sum(2.0 ** -len(word) for word in words) == 1
    assert not any(a != b and b.startswith(a) for a in words for b in words)


def test_a_lone_symbol_takes_a_bit_and_none_takes_nothing():
    assert code_lengths([0, 7]).tolist() == [0, 1]
    assert code_lengths([0, 0]).tolist() == [0, 0]
    assert huffman(np.zeros(0, int))[1] == b""


def test_bits_are_the_words_one_after_the_other():
    symbols = np.array([2, 0, 1, 0, 0, 2, 3])
    lengths, bits = huffman(symbols)
    words = code_words(lengths)
    text = "".join(f"{words[s]:0{lengths[s]}b}" for s in symbols)
    assert bits == int(text.ljust(16, "0"), 2).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("counts", "longest", "match"), [([-1, 2], 15, "negative"), ([1] * 5, 2, "only 4")]
)
def test_what_cannot_be_coded_is_refused(counts, longest, match):
    with pytest.raises(ValueError, match=match):
        code_lengths(counts, longest=longest)
