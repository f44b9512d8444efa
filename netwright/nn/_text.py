"""Encoders of token sequences: convolution over windows of words, and a recurrent network.

Paper:    Kim. Convolutional Neural Networks for Sentence Classification. EMNLP 2014,
          arXiv:1408.5882, section 2 (`TextConvolution`).
          Cho et al. Learning Phrase Representations using RNN Encoder-Decoder. EMNLP 2014,
          arXiv:1406.1078 (the GRU, as torch has it).
Departs:  windows are centred on each word of the text and zero beyond it; the GRU's states are
          averaged and maximised over the words instead of taking the last.
Notation: `windows` = h, `n_filters` = feature maps.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["TextConvolution", "TextGru", "embed_words", "masked_mean"]

Device = torch.device | str | None


def embed_words(
    n_words: int, width: int, *, device: Device = None, dtype: torch.dtype | None = None
) -> nn.Embedding:
    """Make a word embedding whose padding row is zero and stays so; the unknown word begins so.

    Args:
        n_words: numbers that a token can have, padding and unknown included.
        width: length of a word's vector.
        device: where the parameters lie.
        dtype: of the parameters.
    """
    embedding = nn.Embedding(n_words, width, padding_idx=0, device=device, dtype=dtype)
    with torch.no_grad():
        embedding.weight.mul_(width**-0.5)  # vectors of length about 1
        embedding.weight[1:2] = 0  # it says nothing until training rows have unknown words
    return embedding


def masked_mean(
    states: Float[Tensor, "batch time width"], tokens: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch width"]:
    """Average over the words of each text, padding left out; zero for an empty text.

    Args:
        states: one vector per place.
        tokens: 0 for padding.
    """
    mask = (tokens != 0).unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


class TextConvolution(nn.Module):
    """Filters over windows of words; each keeps its greatest response in the text.

    Attributes:
        out_features: numbers that come out: filters over all windows.
    """

    def __init__(
        self,
        n_words: int,
        width: int,
        *,
        n_filters: int = 100,
        windows: Sequence[int] = (3, 4, 5),
        p_drop: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build embedding and filters.

        Args:
            n_words: numbers that a token can have, padding and unknown included.
            width: length of a word's vector.
            n_filters: filters for each window.
            windows: words in each kind of window.
            p_drop: probability that an entry of a word's vector is dropped while training.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.embedding = embed_words(n_words, width, **kwargs)
        self.drop = nn.Dropout(p_drop)
        self.filters = nn.ModuleList(
            nn.Sequential(  # padding on both sides: one response per word
                nn.ConstantPad1d(((window - 1) // 2, window // 2), 0.0),
                nn.Conv1d(width, n_filters, window, **kwargs),
            )
            for window in windows
        )
        self.out_features = n_filters * len(windows)

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch features"]:
        """Return each filter's greatest rectified response; padding changes nothing."""
        words = self.drop(self.embedding(tokens)).transpose(1, 2)  # (batch, width, time)
        mask = (tokens != 0).unsqueeze(1).to(words.dtype)
        found = [torch.relu(each(words)) * mask for each in self.filters]
        return torch.cat([response.amax(dim=2) for response in found], dim=1)


class TextGru(nn.Module):
    """A GRU over the words; mean and maximum of its states over the text.

    Attributes:
        out_features: numbers that come out: twice the hidden width.
    """

    def __init__(
        self,
        n_words: int,
        width: int,
        *,
        hidden: int = 128,
        p_drop: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build embedding and recurrence.

        Args:
            n_words: numbers that a token can have, padding and unknown included.
            width: length of a word's vector.
            hidden: length of the state.
            p_drop: probability that an entry of a word's vector is dropped while training.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.embedding = embed_words(n_words, width, **kwargs)
        self.drop = nn.Dropout(p_drop)
        self.recurrence = nn.GRU(width, hidden, batch_first=True, **kwargs)
        self.out_features = 2 * hidden

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch features"]:
        """Summarise the states at the words; padding behind the text changes nothing."""
        states, _ = self.recurrence(self.drop(self.embedding(tokens)))
        mask = (tokens != 0).unsqueeze(-1)
        # States lie in (-1, 1), so -1 never wins over a word; an empty text gives -1.
        greatest = torch.where(mask, states, torch.full_like(states, -1.0)).amax(dim=1)
        return torch.cat([masked_mean(states, tokens), greatest], dim=1)
