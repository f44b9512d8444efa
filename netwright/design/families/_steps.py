"""Stacks that run over the words of a text or the steps of a sequence, up to where each ends."""

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from netwright.nn import embed_words, mean_within, within

__all__ = [
    "EmbedWords",
    "MeanOverSteps",
    "OverWords",
    "StackWithin",
    "StepsWithin",
    "WordsWithin",
    "at_steps",
    "halved_to",
]


def halved_to(mask: Float[Tensor, "batch 1 steps"], steps: int) -> Float[Tensor, "batch 1 left"]:
    """Bring a mask to the length that is left after halvings, each around every second step.

    Args:
        mask: 1 inside an example, 0 behind its end.
        steps: that are left.
    """
    while mask.shape[-1] > steps:
        mask = mask[..., ::2]
    return mask


def at_steps(
    states: Float[Tensor, "batch channels *size"], mask: Float[Tensor, "batch 1 steps"] | None
) -> Float[Tensor, "batch channels *size"]:
    """Set what lies behind the end of each example to 0.

    Args:
        states: numbers of each step, as many as the mask has or so often halved.
        mask: 1 inside an example, 0 behind its end; None where examples do not end.
    """
    return states if mask is None else states * halved_to(mask, states.shape[-1])


class StepsWithin(nn.Module):
    """Say where each sequence ends."""

    def forward(self, x: Float[Tensor, "batch channels steps"]) -> Float[Tensor, "batch 1 steps"]:
        """Return 1 up to a sequence's last present value, 0 behind it."""
        return within(x)


class WordsWithin(nn.Module):
    """Say where the words of each text are."""

    def forward(self, tokens: Int[Tensor, "batch words"]) -> Float[Tensor, "batch 1 words"]:
        """Return 1 for each word, 0 for padding."""
        return (tokens != 0).unsqueeze(1).to(torch.get_default_dtype())


class MeanOverSteps(nn.Module):
    """Average each channel over a sequence's own steps."""

    def forward(
        self,
        states: Float[Tensor, "batch channels steps"],
        mask: Float[Tensor, "batch 1 all_steps"],
    ) -> Float[Tensor, "batch channels"]:
        """Return the means; `mask` is 1 inside a sequence, before any halving."""
        return mean_within(states, halved_to(mask, states.shape[-1]))


class OverWords(nn.Module):
    """Average each channel over a text's own words, and take its maximum, which is 0 at least."""

    def forward(
        self,
        states: Float[Tensor, "batch channels words"],
        mask: Float[Tensor, "batch 1 all_words"],
    ) -> Float[Tensor, "batch features"]:
        """Return means, then maxima; `mask` is 1 at words, before any halving."""
        mask = halved_to(mask, states.shape[-1])
        return torch.cat([mean_within(states, mask), torch.relu(states * mask).amax(dim=2)], dim=1)


class EmbedWords(nn.Module):
    """One vector a word, as channels of a sequence; 0 for padding.

    Attributes:
        embedding: the vectors.
    """

    def __init__(self, n_words: int, width: int, *, p_drop: float = 0.0) -> None:
        """Make the embedding.

        Args:
            n_words: numbers that a token can have, padding and unknown included.
            width: length of a word's vector.
            p_drop: probability that an entry of a word's vector is dropped while training.
        """
        super().__init__()
        self.embedding = embed_words(n_words, width)
        self.drop = nn.Dropout(p_drop)

    def forward(self, tokens: Int[Tensor, "batch words"]) -> Float[Tensor, "batch width words"]:
        """Return the words' vectors."""
        return self.drop(self.embedding(tokens)).transpose(1, 2)


class StackWithin(nn.Module):
    """Read sequences or texts, run a stack over their steps or words, and sum up what it says.

    Attributes:
        front: reads the inputs.
        ends: says where each example ends.
        stack: layers that are told so.
        sum_up: from states to one row an example.
    """

    def __init__(
        self, front: nn.Module, ends: nn.Module, stack: nn.Module, sum_up: nn.Module
    ) -> None:
        """Keep the parts.

        Args:
            front: from inputs to states of as many steps or words.
            ends: from inputs to a mask, 1 inside an example and 0 behind its end.
            stack: from states and the mask to states of as many steps, or so often halved.
            sum_up: from such states and the mask to one row an example.
        """
        super().__init__()
        self.front, self.ends, self.stack, self.sum_up = front, ends, stack, sum_up

    def forward(self, x: Num[Tensor, "batch *input"]) -> Float[Tensor, "batch features"]:
        """Return what is said about each example; padding behind it changes nothing."""
        mask, states = self.ends(x), self.front(x)
        return self.sum_up(self.stack(at_steps(states, mask), mask), mask)
