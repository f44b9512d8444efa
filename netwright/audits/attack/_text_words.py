"""Which words an attacker could put in the place of a word: near in meaning, or near in spelling.

Paper:    Jin, Jin, Zhou, Szolovits. Is BERT Really Robust? AAAI 2020, arXiv:1907.11932. Section 2,
          step 2 (synonyms by cosine similarity of embeddings).
          Gao, Lanchantin, Soffa, Qi. Black-box Generation of Adversarial Text Sequences to Evade
          Deep Learning Classifiers. 2018, arXiv:1801.04354. Section III.B (swap, substitute,
          delete, insert one character).
Departs:  the embedding may be the attacked network's own, where words of opposite meaning often
          lie near; whether a swap keeps the meaning is not judged.
Notation: least_similarity = delta.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["UNKNOWN", "misspelled", "near_in_meaning", "near_in_spelling"]

UNKNOWN = 1  # the number of every token outside the vocabulary; 0 is padding
_SHORTEST = 4  # letters of a word that can be misspelled and still be read


def near_in_meaning(
    vectors: Float[Tensor, "words width"], *, n: int = 8, least_similarity: float = 0.5
) -> Int[Tensor, "words n"]:
    """List for each token the nearest others by the cosine of their vectors.

    Args:
        vectors: one for each token number; those of padding (0) and unknown (1) are not looked at.
        n: most words for each.
        least_similarity: cosine below which a word is no neighbour.

    Returns:
        Token numbers, nearest first; a token's own number where there are fewer than `n`.

    Raises:
        ValueError: if `n` is not positive.

    Cost: one product of all vectors with all others, in pieces.

    Example:
        >>> vectors = torch.tensor([[0.0, 0], [0, 0], [1, 0], [1, 0.1], [0, 1]])
        >>> near_in_meaning(vectors, n=1)[:, 0]
        tensor([0, 1, 3, 2, 4])
    """
    if n < 1:
        raise ValueError(f"`n` must be at least 1; got {n}.")
    unit = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
    own = torch.arange(len(vectors), device=vectors.device)
    found = own[:, None].repeat(1, n)
    for places in own[2:].split(1024):
        likeness = unit[places] @ unit.T
        likeness[:, :2] = -torch.inf
        likeness[torch.arange(len(places)), places] = -torch.inf
        best = likeness.topk(min(n, len(vectors)), dim=1)
        near = torch.where(best.values >= least_similarity, best.indices, places[:, None])
        found[places, : near.shape[1]] = near
    return found


def near_in_spelling(vocabulary: Sequence[str], *, n: int = 8) -> Int[Tensor, "words n"]:
    """List for each token what one edit of a character can make of it.

    That is the unknown token, by a misspelling that is no word (for words of four characters or
    more), and then words of the vocabulary that differ by one character inserted, deleted, replaced
    or swapped with its neighbour.

    Args:
        vocabulary: token i has number i + 2, as in a `Schema`.
        n: most tokens for each; the first ones in the vocabulary's order.

    Returns:
        Token numbers; a token's own number where there are fewer than `n`.

    Raises:
        ValueError: if `n` is not positive.

    Example:
        >>> near_in_spelling(["there", "three", "of"], n=2).tolist()[2:]
        [[1, 3], [1, 2], [4, 4]]
    """
    if n < 1:
        raise ValueError(f"`n` must be at least 1; got {n}.")
    number = {word: place + 2 for place, word in enumerate(vocabulary)}
    replaced: dict[str, list[int]] = defaultdict(list)
    longer: dict[int, set[int]] = defaultdict(set)
    for word, own in number.items():
        for i in range(len(word)):
            replaced[f"{word[:i]}\0{word[i + 1 :]}"].append(own)
            shorter = number.get(word[:i] + word[i + 1 :])
            if shorter is not None:
                longer[shorter].add(own)
    found = torch.arange(len(vocabulary) + 2)[:, None].repeat(1, n)
    for word, own in number.items():
        near = set(longer[own])
        for i in range(len(word)):
            near.update(replaced[f"{word[:i]}\0{word[i + 1 :]}"])
            for edit in (
                word[:i] + word[i + 1 :],
                word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :],
            ):
                near.add(number.get(edit, own))
        near.discard(own)
        listed = ([UNKNOWN] if len(word) >= _SHORTEST else []) + sorted(near)
        listed = listed[:n]
        found[own, : len(listed)] = torch.tensor(listed, dtype=found.dtype)
    return found


def misspelled(word: str, vocabulary: Sequence[str] | set[str]) -> str:
    """Edit one character inside a word so that it is none of the vocabulary's, yet readable.

    Args:
        word: at least four characters.
        vocabulary: words that the edit must not make.

    Returns:
        The word with two inner letters swapped, or one doubled or left out; as it is if every such
        edit makes a word.

    Example:
        >>> misspelled("terrible", {"terrible"})
        'trerible'
    """
    known = set(vocabulary)
    inner = range(1, len(word) - 2)
    swapped = [word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in inner]
    doubled = [word[:i] + word[i] + word[i:] for i in inner]
    shorter = [word[:i] + word[i + 1 :] for i in inner]
    return next((e for e in (*swapped, *doubled, *shorter) if e != word and e not in known), word)
