"""Texts: tokens, the vocabulary of the training rows, and rows of token numbers.

A text is cut into words, or into characters where it has none: DNA, proteins, SMILES. Characters
are taken as they are, small and capital. Blanks among them (the line ends of a sequence that was
pasted, the gaps between its blocks) count only where the vocabulary holds a blank.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from netwright.data._schema import Input

__all__ = [
    "TOKEN",
    "Corpus",
    "characters",
    "counts_blanks",
    "cutter",
    "encode_text",
    "fit_vocabulary",
    "has_no_words",
    "lower_case",
    "number_tokens",
    "pad",
    "small_letters",
    "tokenize",
]

TOKEN = r"[a-z0-9']+|[^\sa-z0-9]"
VOCABULARY = 20_000
LENGTH = 512  # words
CHARACTERS = 2048
_LONGER_THAN_WORDS = 15  # characters, which a quarter of the texts must exceed
_BLANKS = 0.01  # share of the texts that may hold one all the same
_FIND = re.compile(TOKEN).findall


@dataclass(frozen=True, eq=False)
class Corpus:
    """Tokenised texts.

    Attributes:
        flat: all tokens of all texts, as places in `tokens`, int32 (total,).
        start: where each text begins in `flat`, and the end of the last, int64 (n + 1,).
        tokens: the distinct tokens.
    """

    flat: np.ndarray
    start: np.ndarray
    tokens: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start) - 1


@cache
def small_letters() -> dict[int, int]:
    """Map capital letters to small ones, one for one, so that any runtime can do the same.

    ASCII letters map to ASCII letters, and others to others: the signs for Kelvin and for a dotted
    I, whose small letters are ASCII or two, stay as they are.
    """
    pairs = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
    for code in range(0x80, 0x1F000):  # no letter beyond has two cases
        small = chr(code).lower()
        if small != chr(code) and len(small) == 1 and not small.isascii():
            pairs[code] = ord(small)
    return pairs


def lower_case(text: str) -> str:
    """Return a text in small letters, each for itself, wherever it stands in a word.

    Args:
        text: any text.
    """
    return text.lower() if text.isascii() else text.translate(small_letters())


def tokenize(text: str) -> list[str]:
    """Cut a text into lower-case words and single other characters.

    Args:
        text: any text.

    Example:
        >>> tokenize("It's GOOD, see?")
        ["it's", 'good', ',', 'see', '?']
    """
    return _FIND(lower_case(text))


def characters(text: str) -> list[str]:
    """Cut a text into its characters, blanks left out.

    Args:
        text: any text.

    Example:
        >>> characters("ACG acg")
        ['A', 'C', 'G', 'a', 'c', 'g']
    """
    return list("".join(text.split()))


def counts_blanks(vocabulary: Sequence[str]) -> bool:
    """Say whether blanks are among the characters that texts are cut into.

    Args:
        vocabulary: of texts that are cut into characters.
    """
    return any(character.isspace() for character in vocabulary)


def cutter(inputs: Input) -> Callable[[str], list[str]]:
    """Return what cuts the texts of an input into tokens.

    Args:
        inputs: the schema of a text input.
    """
    if inputs.tokens == "words":
        return tokenize
    return list if counts_blanks(inputs.vocabulary) else characters


def has_no_words(texts: Sequence[str | None]) -> bool:
    """Say whether texts are chains of characters, such as DNA or SMILES, rather than words.

    They hold almost no blanks (one text in a hundred may), and a quarter of them are longer than
    15 characters, which few words are.

    Args:
        texts: the texts; None counts as an empty one.

    Example:
        >>> has_no_words(["CC(C)NCC(O)COc1cccc2ccccc12", "O"]), has_no_words(["a word", "another"])
        (True, False)
    """
    trimmed = [text.strip() for text in texts if text]
    if not trimmed:
        return False
    lengths = sorted(map(len, trimmed))
    longer = lengths[(3 * len(lengths)) // 4] > _LONGER_THAN_WORDS
    return longer and sum(len(t.split(None, 1)) > 1 for t in trimmed) <= _BLANKS * len(trimmed)


def number_tokens(
    texts: Sequence[str | None], cut: Callable[[str], list[str]] = tokenize
) -> Corpus:
    """Tokenise texts and number their tokens in order of first appearance.

    Args:
        texts: the texts; None counts as an empty one.
        cut: makes tokens of a text.
    """
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__  # a new token gets the next number
    flat: list[np.ndarray] = []
    start = np.zeros(len(texts) + 1, np.int64)
    for row, text in enumerate(texts):
        found = cut(text) if text else []
        start[row + 1] = start[row] + len(found)
        flat.append(np.fromiter(map(index.__getitem__, found), np.int32, len(found)))
    together = np.concatenate(flat) if flat else np.zeros(0, np.int32)
    return Corpus(together, start, tuple(index))


def fit_vocabulary(
    corpus: Corpus, train: np.ndarray, *, longest: int = LENGTH
) -> tuple[tuple[str, ...], int]:
    """Choose the vocabulary and the length of a row.

    Args:
        corpus: all texts.
        train: the training rows, bool (n,).
        longest: tokens that a row may have at most; 512 words, or 2,048 characters.

    Returns:
        The tokens of training rows, the most frequent first, at most 20,000; and the length that
        99 % of the training rows fit in, from 8 tokens to `longest`.
    """
    lengths = np.diff(corpus.start)
    counts = np.bincount(corpus.flat[np.repeat(train, lengths)], minlength=len(corpus.tokens))
    chosen = sorted(np.flatnonzero(counts), key=lambda i: (-counts[i], corpus.tokens[i]))
    length = int(np.quantile(lengths[train], 0.99, method="higher")) if train.any() else 0
    return tuple(corpus.tokens[i] for i in chosen[:VOCABULARY]), min(longest, max(8, length))


def pad(
    corpus: Corpus, vocabulary: Sequence[str], length: int, texts: slice = slice(None)
) -> np.ndarray:
    """Write each text as one row of token numbers: 0 padding, 1 unknown, i + 2 the vocabulary's i.

    Args:
        corpus: the texts.
        vocabulary: the known tokens.
        length: tokens in a row; longer texts are cut.
        texts: which of the texts.

    Returns:
        int64 (texts, length).
    """
    number = {token: i + 2 for i, token in enumerate(vocabulary)}
    known = np.array([number.get(token, 1) for token in corpus.tokens], np.int64)
    start = corpus.start[:-1][texts]
    lengths = np.minimum(corpus.start[1:][texts] - start, length)
    rows = np.zeros((len(start), length), np.int64)
    inside = np.arange(length) < lengths[:, None]
    place = start[:, None] + np.arange(length)
    if len(known):
        rows[inside] = known[corpus.flat[place[inside]]]
    return rows


def encode_text(texts: Sequence[str | None], inputs: Input) -> Int[Tensor, "rows tokens"]:
    """Code new texts as the network receives them.

    Args:
        texts: one text a row; several source columns are joined with a blank.
        inputs: the schema of the input.
    """
    return torch.from_numpy(
        pad(number_tokens(texts, cutter(inputs)), inputs.vocabulary, inputs.shape[0])
    )
