"""Huffman codes of bounded length, canonical, so that a file needs only the lengths.

Paper:    Huffman. A Method for the Construction of Minimum-Redundancy Codes. Proc. IRE 40(9), 1952.
          Larmore, Hirschberg. A Fast Algorithm for Optimal Length-Limited Huffman Codes. J. ACM
          37(3), 1990: package-merge, which gives the optimum below a longest length.
Departs:  the plain package-merge of section 2, not the boundary form that saves memory.
Notation: counts = w (weights), longest = L, lengths = l.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["code_lengths", "code_words", "huffman"]

_LONGEST = 15  # bits; a length then fits four


def code_lengths(counts: Sequence[int] | np.ndarray, *, longest: int = _LONGEST) -> np.ndarray:
    """Return the length of each symbol's code word, in bits; 0 for symbols that do not occur.

    No prefix code whose words have at most `longest` bits takes fewer bits in total. A symbol that
    stands alone gets one bit.

    Args:
        counts: how often each symbol occurs.
        longest: most bits of a code word, at most 15 where a file is to hold them.

    Raises:
        ValueError: if a count is negative, or `longest` bits are too few for the symbols.

    Cost: symbols times `longest`, times the number of symbols.

    Example:
        >>> code_lengths([5, 2, 1, 1, 0]).tolist()
        [1, 2, 3, 3, 0]
    """
    weights = np.asarray(counts)
    if len(weights) and weights.min() < 0:
        raise ValueError(f"`counts` must not be negative; got {weights.min()}.")
    used = np.flatnonzero(weights)
    if len(used) > 1 << longest:
        raise ValueError(f"`longest` = {longest} bits tell only {1 << longest} symbols apart.")
    lengths = np.zeros(len(weights), np.int64)
    if len(used) == 1:
        lengths[used] = 1
    if len(used) < 2:
        return lengths
    ordered = used[np.argsort(weights[used], kind="stable")]
    # A row holds packages: how much they weigh, and the symbols inside.
    singles: list[tuple[int, tuple[int, ...]]] = [(int(weights[s]), (int(s),)) for s in ordered]
    row = singles
    for _ in range(longest - 1):
        pairs = [
            (row[i][0] + row[i + 1][0], row[i][1] + row[i + 1][1])
            for i in range(0, len(row) - 1, 2)
        ]
        row = sorted(singles + pairs, key=lambda item: item[0])
    for _, members in row[: 2 * len(ordered) - 2]:
        np.add.at(lengths, list(members), 1)
    return lengths


def code_words(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the canonical code: shorter words come first, equal lengths in the symbols' order.

    Args:
        lengths: bits of each symbol's word; 0 for symbols without one.

    Example:
        >>> [f"{word:0{n}b}" for word, n in zip(code_words([2, 1, 2]), [2, 1, 2])]
        ['10', '0', '11']
    """
    bits = np.asarray(lengths)
    words = np.zeros(len(bits), np.int64)
    word = before = 0
    for symbol in np.argsort(bits, kind="stable"):
        if bits[symbol]:
            word <<= int(bits[symbol]) - before
            words[symbol], before = word, int(bits[symbol])
            word += 1
    return words


def huffman(symbols: np.ndarray) -> tuple[np.ndarray, bytes]:
    """Encode a sequence of symbols.

    Args:
        symbols: whole numbers from 0, one axis.

    Returns:
        The lengths of the code words, one for each symbol up to the largest, and the bits, the
        first one highest in its byte, the last byte filled with zeros.

    Raises:
        ValueError: if there are more than 32,768 different symbols.

    Example:
        >>> lengths, bits = huffman(np.array([0, 0, 1, 0]))
        >>> lengths.tolist(), bits.hex()
        ([1, 1], '20')
    """
    lengths = code_lengths(np.bincount(symbols)) if len(symbols) else np.zeros(0, np.int64)
    if not len(symbols):
        return lengths, b""
    words, width = code_words(lengths)[symbols], lengths[symbols]
    owner = np.repeat(np.arange(len(symbols)), width)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(width) - width, width)
    bits = words[owner] >> (width[owner] - 1 - place) & 1
    return lengths, np.packbits(bits.astype(np.uint8)).tobytes()
