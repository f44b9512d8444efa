"""A linear model of n-grams that starts as a naive-Bayes classifier.

Paper:    Wang, Manning. Baselines and Bigrams: Simple, Good Sentiment and Topic Classification.
          ACL 2012, section 2.1 (log-count ratios of binarised n-grams).
          Bojanowski, Grave, Joulin, Mikolov. Enriching Word Vectors with Subword Information.
          TACL 2017, arXiv:1607.04606, section 3.2 (words as bags of character n-grams).
Departs:  one class against all others, so any number of classes; ratios of character n-grams are
          added, a fifth as heavy, to those of their words once, at the start, which costs nothing
          afterwards; then the weights are trained under a normal prior around the ratios, where
          NB-SVM trains a factor for each ratio and interpolates.
Notation: `smoothing` = alpha, ratios = r.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from netwright.nn._ngrams import NgramBag

__all__ = ["NaiveBayesBag", "log_count_ratios"]

_SUBWORDS = (3, 4, 5, 6)
# A word has about five times as many character n-grams as it is words, and they say the same thing.
_SUBWORD_SHARE = 0.2


@runtime_checkable
class _Rows(Protocol):
    y: Tensor

    def __len__(self) -> int: ...

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]: ...  # honest: a protocol


class NaiveBayesBag(nn.Module):
    """The weights of a text's n-grams, added up for each class, times a gain, plus a bias.

    Attributes:
        bag: a weight for each n-gram and class.
        gain: of the sum; naive Bayes is too sure of itself, since words are not independent.
        bias: per class.
        start: the weights that `initialise` set, towards which training is pulled; empty before.
        pull: strength of that pull: a half over the number of training rows, a prior of variance 2.
    """

    start: Tensor

    def __init__(
        self,
        vocabulary: Sequence[str],
        n_outputs: int,
        *,
        is_class: bool = True,
        n_buckets: int = 0,
        longest: int = 1,
        smoothing: float = 1.0,
        p_drop: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the model with weights zero.

        Args:
            vocabulary: token i + 2 stands for entry i.
            n_outputs: classes, labels or values.
            is_class: whether targets are classes or labels, not values.
            n_buckets: weights that pairs, triples and so on of tokens share by hashing.
            longest: tokens in the longest n-gram, 1 to 6.
            smoothing: added to every count by `initialise`, positive.
            p_drop: probability that an n-gram is left out while training.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.vocabulary, self.is_class, self.smoothing = tuple(vocabulary), is_class, smoothing
        self.bag = NgramBag(
            len(vocabulary) + 2,
            n_outputs,
            n_buckets=n_buckets,
            longest=longest,
            power=0.0,
            p_drop=p_drop,
            **kwargs,
        )
        nn.init.zeros_(self.bag.weight)
        self.gain = nn.Parameter(torch.ones((), **kwargs))
        self.bias = nn.Parameter(torch.zeros(n_outputs, **kwargs))
        # Needed for training alone, and computed again from the training rows: not saved.
        self.register_buffer("start", torch.empty(0, **kwargs), persistent=False)
        self.pull = 0.0

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch outputs"]:
        """Return logits, or standardised values."""
        if self.training and len(self.start):
            weight = _PulledBack.apply(self.bag.weight, self.start, self.pull)
            return self.bag.add_up(tokens, weight) * self.gain + self.bias
        return self.bag(tokens) * self.gain + self.bias

    @torch.no_grad()
    def initialise(self, split: _Rows) -> None:
        """Set the weights by counting; values are left at zero.

        Args:
            split: the training rows.
        """
        if not self.is_class:
            return
        n_rows, n_outputs = self.bag.weight.shape
        counts = torch.zeros(n_outputs, n_rows)
        texts = torch.zeros(n_outputs)
        n_texts = n_places = 0
        for tokens, y in split.batches(512):
            places = _distinct(self.bag.places(tokens.cpu()))
            member = _membership(y.cpu(), n_outputs)
            for output in range(n_outputs):
                counts[output] += torch.bincount(
                    places[member[:, output]].flatten(), minlength=n_rows
                )
            texts += member.sum(dim=0)
            n_texts += len(places)
            n_places += int((places != 0).sum())
        counts[:, 0] = 0
        ratios = log_count_ratios(counts, smoothing=self.smoothing)
        ratios[:, counts.sum(dim=0) == 0] = 0  # never seen: says nothing
        ratios[:, 2 : len(self.vocabulary) + 2] += self._of_subwords(counts)
        ratios[:, :2] = 0
        self.bag.weight.copy_(ratios.T)
        self.start = self.bag.weight.detach().clone()
        self.pull = 0.5 / max(1, len(split))
        self.gain.fill_((max(1, n_places) / max(1, n_texts)) ** -0.5)
        prior = (texts + self.smoothing) / (n_texts + n_outputs * self.smoothing)
        self.bias.copy_(torch.logit(prior.clamp(1e-6, 1 - 1e-6)))

    def _of_subwords(self, counts: Tensor) -> Tensor:
        """Add up, for each word, the ratios of its character n-grams."""
        number: dict[str, int] = {}
        word, part = [], []
        for place, token in enumerate(self.vocabulary):
            framed = f" {token} "
            pieces = {framed[i : i + n] for n in _SUBWORDS for i in range(len(framed) - n + 1)}
            for piece in sorted(pieces):
                word.append(place)
                part.append(number.setdefault(piece, len(number)))
        if not word:
            return torch.zeros(len(counts), len(self.vocabulary))
        words, parts = torch.tensor(word), torch.tensor(part)
        of_words = counts[:, 2 : len(self.vocabulary) + 2]
        of_parts = torch.zeros(len(counts), len(number))
        of_parts.index_add_(1, parts, of_words[:, words])
        ratios = log_count_ratios(of_parts, smoothing=self.smoothing)
        return _SUBWORD_SHARE * torch.zeros_like(of_words).index_add_(1, words, ratios[:, parts])


class _PulledBack(torch.autograd.Function):
    """The identity, whose gradient has that of a quadratic penalty added."""

    @staticmethod
    def forward(ctx, weight: Tensor, start: Tensor, strength: float) -> Tensor:  # type: ignore
        ctx.save_for_backward(weight, start)
        ctx.strength = strength
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore
        weight, start = ctx.saved_tensors
        return gradient + ctx.strength * (weight - start), None, None


def log_count_ratios(
    counts: Float[Tensor, "classes features"], *, smoothing: float = 1.0
) -> Float[Tensor, "classes features"]:
    """Compare how often each feature occurs inside and outside each class.

    Args:
        counts: occurrences of each feature in the examples of each class.
        smoothing: added to every count, positive.

    Returns:
        `log((p / |p|) / (q / |q|))`, p the smoothed counts in the class, q those in all others.

    Raises:
        ValueError: if `smoothing` is not positive.

    Example:
        >>> log_count_ratios(torch.tensor([[3.0, 0.0], [0.0, 3.0]])).exp().round(decimals=2)
        tensor([[4.0000, 0.2500],
                [0.2500, 4.0000]])
    """
    if not smoothing > 0:
        raise ValueError(f"`smoothing` must be positive; got {smoothing}.")
    inside = counts + smoothing
    outside = counts.sum(dim=0, keepdim=True) - counts + smoothing
    inside = inside / inside.sum(dim=1, keepdim=True)
    outside = outside / outside.sum(dim=1, keepdim=True)
    return (inside / outside).log()


def _distinct(places: Int[Tensor, "batch places"]) -> Int[Tensor, "batch places"]:
    ordered = places.sort(dim=1).values
    again = ordered[:, 1:] == ordered[:, :-1]
    ordered[:, 1:] = torch.where(again, torch.zeros_like(again, dtype=torch.int64), ordered[:, 1:])
    return ordered


def _membership(y: Shaped[Tensor, "batch *width"], n_outputs: int) -> Tensor:
    if y.ndim == 1:
        return nn.functional.one_hot(y, n_outputs).bool()
    return y > 0.5
