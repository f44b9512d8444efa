"""Look up a vector for each word, pair and longer run of words of a text, and add them up.

Paper:    Joulin, Grave, Bojanowski, Mikolov. Bag of Tricks for Efficient Text Classification.
          EACL 2017, arXiv:1607.01759 (hashed n-grams).
Departs:  the hash is a polynomial of the token numbers; the sum may be divided by any power of the
          number of n-grams; tokens may be characters.
Notation: weight = A.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["NgramBag", "ngram_places"]

# Odd multipliers of a polynomial hash, mixed in their low bits too: a table has 2**k buckets, and a
# multiplier that is 1, or a small fraction, modulo 2**k lets runs of few letters collide. Below
# 2**32, so that token numbers below 2**24 cannot overflow int64.
_MULTIPLIERS = (
    2_654_435_761,
    2_246_822_519,
    3_266_489_917,
    668_265_263,
    374_761_393,
    1_640_531_527,
)


def ngram_places(
    tokens: Int[Tensor, "batch time"], *, n_words: int, n_buckets: int, longest: int
) -> Int[Tensor, "batch places"]:
    """Number the n-grams of texts: words by themselves, longer n-grams by their hash.

    Args:
        tokens: 0 for padding.
        n_words: rows kept for single words, padding included.
        n_buckets: rows shared by all longer n-grams, behind those of the words.
        longest: tokens in the longest n-gram, 1 to 6.

    Returns:
        Row numbers in [0, n_words + n_buckets); 0 where an n-gram contains padding.
    """
    places = [tokens]
    length = tokens.shape[1]
    for order in range(2, min(longest, length) + 1):
        window = length - order + 1
        mixed = torch.full_like(tokens[:, :window], order)
        whole = torch.ones_like(mixed, dtype=torch.bool)
        for place in range(order):
            word = tokens[:, place : place + window]
            mixed = mixed + word * _MULTIPLIERS[place]
            whole = whole & (word != 0)
        hashed = n_words + mixed % n_buckets
        places.append(torch.where(whole, hashed, torch.zeros_like(hashed)))
    return torch.cat(places, dim=1)


class NgramBag(nn.Module):
    """The sum of the vectors of all n-grams of a text, divided by a power of their number.

    Attributes:
        weight: a vector for each word and each bucket; row 0, padding, stays zero.
    """

    def __init__(
        self,
        n_words: int,
        width: int,
        *,
        n_buckets: int = 0,
        longest: int = 1,
        power: float = 1.0,
        p_drop: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Draw the vectors.

        Args:
            n_words: numbers that a token can have, padding and unknown included.
            width: length of the vectors.
            n_buckets: rows for pairs, triples and so on; they share them by hashing.
            longest: tokens in the longest n-gram, 1 to 6.
            power: the sum is divided by the number of n-grams to this power: 0 adds, 1 averages.
            p_drop: probability that an n-gram is left out while training.
            device: where the parameters lie.
            dtype: of the parameters.

        Raises:
            ValueError: if `longest` is not 1 to 6, or there are longer n-grams but no buckets.
        """
        super().__init__()
        if longest not in range(1, len(_MULTIPLIERS) + 1):
            raise ValueError(f"`longest` must be 1 to {len(_MULTIPLIERS)} tokens; got {longest}.")
        if longest > 1 and n_buckets < 1:
            raise ValueError(f"`n_buckets` must be positive for n-grams of {longest} words.")
        if longest == 1:
            n_buckets = 0
        if not 0 <= p_drop < 1:
            raise ValueError(f"`p_drop` must be a probability below 1; got {p_drop}.")
        self.n_words, self.n_buckets, self.longest = n_words, n_buckets, longest
        self.power, self.p_drop = power, p_drop
        table = torch.empty(n_words + n_buckets, width, device=device, dtype=dtype)
        nn.init.normal_(table, std=0.1 if power == 0 else 1.0 / width**0.5)
        with torch.no_grad():
            table[:2] = 0  # padding; the unknown word says nothing before it is learned
        self.weight = nn.Parameter(table)

    def places(self, tokens: Int[Tensor, "batch time"]) -> Int[Tensor, "batch places"]:
        """Number the n-grams of texts; 0 where there is none.

        Args:
            tokens: 0 for padding.
        """
        return ngram_places(
            tokens, n_words=self.n_words, n_buckets=self.n_buckets, longest=self.longest
        )

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch width"]:
        """Add up the vectors of the n-grams; dropout reads torch's global generator."""
        return self.add_up(tokens, self.weight)

    def add_up(
        self, tokens: Int[Tensor, "batch time"], weight: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "batch width"]:
        """Add up other vectors than the module's own.

        Args:
            tokens: 0 for padding.
            weight: in the order of `weight`.
        """
        places = self.places(tokens)
        if self.training and self.p_drop:
            places = places * (torch.rand(places.shape, device=places.device) >= self.p_drop)
        vectors = nn.functional.embedding(places, weight, padding_idx=0)
        total = vectors.sum(dim=1)
        if self.training and self.p_drop and self.power == 0:
            total = total / (1 - self.p_drop)
        if self.power == 0:
            return total
        found = (places != 0).sum(dim=1, keepdim=True).clamp(min=1).to(total.dtype)
        return total / found.pow(self.power)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"n_words={self.n_words}, width={self.weight.shape[1]}, n_buckets={self.n_buckets}, "
            f"longest={self.longest}, power={self.power}, p_drop={self.p_drop}"
        )
