"""Swap a few words of a text, the most telling first, until the class changes.

Paper:    Jin, Jin, Zhou, Szolovits. Is BERT Really Robust? A Strong Baseline for Natural Language
          Attack on Text Classification and Entailment. AAAI 2020, arXiv:1907.11932. Algorithm 1
          (TextFooler): words ranked by what leaving them out changes, then swapped greedily.
Departs:  importance is the rise of the margin when a word becomes the unknown token; words of a
          given table are tried, without checks of grammar or of the sentence's meaning.
Notation: candidates = CANDIDATES, n_changes = words swapped at most.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from netwright.audits.attack._hunt import require_count
from netwright.audits.attack._outcome import Attacked, fooled_by, margin
from netwright.audits.attack._text_words import UNKNOWN, misspelled

__all__ = ["text_search", "word_changes"]

_AT_ONCE = 4096  # texts put to the network together


@torch.no_grad()
def text_search(
    network: Callable[[Tensor], Tensor],
    tokens: Int[Tensor, "batch time"],
    y: Int[Tensor, "batch"],
    *,
    candidates: Int[Tensor, "words n"],
    n_changes: int = 5,
) -> Attacked:
    """Attack a classifier of texts by swapping words for others of a table.

    Tables come from `near_in_meaning`, `near_in_spelling`, or a dictionary of your own; joined side
    by side they allow both.

    Args:
        network: maps token numbers to logits, each row on its own; a module must be in eval mode.
        tokens: texts; 0 is padding, which stays.
        y: their true classes.
        candidates: for each token number those that may stand in its place; its own number means
            none.
        n_changes: words swapped in a text, at most.

    Returns:
        The changed texts, which of them are misclassified, and the queries spent.

    Raises:
        ValueError: if the network is in training mode, `n_changes` is not positive, or a token has
            no row in `candidates`.

    Cost: a forward pass for each word of a text, and then `n_changes` times as many as a word has
    candidates.

    Example:
        >>> network = lambda t: torch.stack([(t == 2).sum(1), (t == 3).sum(1)], 1).float()
        >>> candidates = torch.tensor([[0], [1], [3], [3]])  # word 2 may become word 3
        >>> text_search(network, torch.tensor([[2, 2, 0]]), torch.tensor([0]),
        ...             candidates=candidates).x.tolist()
        [[3, 3, 0]]
    """
    require_count("n_changes", n_changes)
    if isinstance(network, torch.nn.Module) and network.training:
        raise ValueError("`network` must be in eval mode: call `network.eval()` first.")
    if tokens.numel() and int(tokens.max()) >= len(candidates):
        raise ValueError(
            f"`candidates` has rows for tokens 0 to {len(candidates) - 1}; `tokens` holds "
            f"{int(tokens.max())}."
        )
    found, fooled = tokens.clone(), fooled_by(network, tokens, y)
    n_queries = len(tokens)
    left = (~fooled).nonzero()[:, 0]
    if not len(left) or not tokens.shape[1]:
        return Attacked(found, fooled, 0, n_queries)
    now = margin(network(found[left]), y[left])
    order, asked = _by_importance(network, found[left], y[left], candidates)
    n_queries += asked + len(left)
    changed = torch.zeros_like(left)
    for turn in range(order.shape[1]):
        if not len(left):
            break
        place = order[:, turn]
        texts = found[left]
        each = torch.arange(len(left), device=tokens.device)
        options = candidates[texts[each, place]]  # (rows, n)
        n = options.shape[1]
        tried = texts[:, None].repeat(1, n, 1)
        tried[each, :, place] = options
        reached = _margins(network, tried.flatten(0, 1), y[left].repeat_interleave(n)).view(-1, n)
        n_queries += reached.numel()
        best, at = reached.max(dim=1)
        better = best > now
        texts[better] = tried[each, at][better]
        found[left] = texts
        now = torch.where(better, best, now)
        changed += better
        over = now > 0
        fooled[left[over]] = fooled_by(network, found[left[over]], y[left[over]])
        going = ~fooled[left] & (changed < n_changes)
        left, order, now, changed = left[going], order[going], now[going], changed[going]
    return Attacked(found, fooled, 0, n_queries)


def _by_importance(
    network: Callable[[Tensor], Tensor], tokens: Tensor, y: Tensor, candidates: Tensor
) -> tuple[Tensor, int]:
    # Places of each text, the most telling first; places without a candidate come last.
    length = tokens.shape[1]
    without = tokens[:, None].repeat(1, length, 1)
    each = torch.arange(length, device=tokens.device)
    without[:, each, each] = UNKNOWN
    rise = _margins(network, without.flatten(0, 1), y.repeat_interleave(length)).view(-1, length)
    closed = (tokens == 0) | (candidates[tokens] == tokens[:, :, None]).all(2)
    rise = torch.where(closed, -torch.inf, rise)
    most = int((~closed).sum(1).max())
    return rise.argsort(dim=1, descending=True, stable=True)[:, :most], rise.numel()


def _margins(network: Callable[[Tensor], Tensor], tokens: Tensor, y: Tensor) -> Tensor:
    parts = zip(tokens.split(_AT_ONCE), y.split(_AT_ONCE), strict=True)
    return torch.cat([margin(network(rows), labels) for rows, labels in parts])


def word_changes(
    before: Int[Tensor, "time"], after: Int[Tensor, "time"], vocabulary: Sequence[str]
) -> tuple[tuple[int, str, str], ...]:
    """Say which words of a text were swapped, for people.

    Args:
        before: the text.
        after: the text after the attack.
        vocabulary: token i has number i + 2.

    Returns:
        For each change its place, the word, and what it became: a word of the vocabulary, or a
        misspelling that is none.
    """

    def word(token: int) -> str:
        return vocabulary[token - 2] if token >= 2 else "(unknown)" if token else "(padding)"

    known = set(vocabulary)
    return tuple(
        (
            int(place),
            word(int(before[place])),
            misspelled(word(int(before[place])), known)
            if int(after[place]) == UNKNOWN
            else word(int(after[place])),
        )
        for place in (before != after).nonzero()[:, 0]
    )
