"""A Transformer encoder of token sequences.

Paper:    Vaswani et al. Attention Is All You Need. NeurIPS 2017, arXiv:1706.03762, section 3.2.
          Xiong et al. On Layer Normalization in the Transformer Architecture. ICML 2020,
          arXiv:2002.04745 (normalisation before each sublayer).
Departs:  learned positions; GELU; no decoder; the words' states are averaged.
Notation: `width` = d_model, `n_heads` = h, `hidden` = d_ff.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from netwright.nn._text import embed_words, masked_mean

__all__ = ["SelfAttention", "TextTransformer", "TransformerBlock"]

Device = torch.device | str | None
_HIDDEN = -1e4  # a score that leaves a weight of 0 in any float type, and stays finite


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself."""

    def __init__(
        self, width: int, *, n_heads: int, device: Device = None, dtype: torch.dtype | None = None
    ) -> None:
        """Build the projections.

        Args:
            width: length of the vectors, a multiple of `n_heads`.
            n_heads: heads that attend side by side.
            device: where the parameters lie.
            dtype: of the parameters.

        Raises:
            ValueError: if `width` is no multiple of `n_heads`.
        """
        super().__init__()
        if width % n_heads:
            raise ValueError(f"`width` must be a multiple of the {n_heads} heads; got {width}.")
        self.n_heads = n_heads
        self.project_in = nn.Linear(width, 3 * width, device=device, dtype=dtype)
        self.project_out = nn.Linear(width, width, device=device, dtype=dtype)

    def forward(
        self, states: Float[Tensor, "batch time width"], visible: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time width"]:
        """Let every place gather from the visible ones."""
        heads = self.project_in(states).unflatten(2, (3, self.n_heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, T, d)
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5  # (B, heads, T, T)
        hidden = (~visible).to(states.dtype) * _HIDDEN
        weights = (scores + hidden[:, None, None, :]).softmax(dim=-1)
        return self.project_out((weights @ value).transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Attention and a two-layer network, each normalised before and added to its input."""

    def __init__(
        self,
        width: int,
        *,
        n_heads: int,
        hidden: int,
        p_drop: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the block.

        Args:
            width: length of the vectors.
            n_heads: heads of the attention.
            hidden: width of the two-layer network.
            p_drop: probability that an entry of either sublayer's result is dropped in training.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.norm_attention = nn.LayerNorm(width, **kwargs)
        self.attention = SelfAttention(width, n_heads=n_heads, **kwargs)
        self.norm_network = nn.LayerNorm(width, **kwargs)
        self.network = nn.Sequential(
            nn.Linear(width, hidden, **kwargs), nn.GELU(), nn.Linear(hidden, width, **kwargs)
        )
        self.drop = nn.Dropout(p_drop)

    def forward(
        self, states: Float[Tensor, "batch time width"], visible: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time width"]:
        """Return the states after both sublayers."""
        states = states + self.drop(self.attention(self.norm_attention(states), visible))
        return states + self.drop(self.network(self.norm_network(states)))


class TextTransformer(nn.Module):
    """Embedding, positions, blocks, and the mean of the words' states.

    Attributes:
        out_features: numbers that come out: `width`.
    """

    def __init__(
        self,
        n_words: int,
        width: int,
        *,
        length: int,
        n_heads: int = 4,
        n_blocks: int = 2,
        hidden: int | None = None,
        p_drop: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Build the encoder.

        Args:
            n_words: numbers that a token can have, padding and unknown included.
            width: length of the vectors.
            length: tokens in the longest text.
            n_heads: heads of each attention.
            n_blocks: number of blocks.
            hidden: width of the blocks' two-layer networks; `2 * width` if None.
            p_drop: probability that an entry of a sublayer's result is dropped in training.
            device: where the parameters lie.
            dtype: of the parameters.
        """
        super().__init__()
        kwargs = {"device": device, "dtype": dtype}
        self.embedding = embed_words(n_words, width, **kwargs)
        self.positions = nn.Parameter(torch.empty(length, width, **kwargs))
        nn.init.normal_(self.positions, std=0.02)
        self.drop = nn.Dropout(p_drop)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width, n_heads=n_heads, hidden=hidden or 2 * width, p_drop=p_drop, **kwargs
            )
            for _ in range(n_blocks)
        )
        self.norm = nn.LayerNorm(width, **kwargs)
        self.out_features = width

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch width"]:
        """Summarise the states at the words; padding changes nothing."""
        visible = tokens != 0
        states = self.drop(self.embedding(tokens) + self.positions[: tokens.shape[1]])
        for block in self.blocks:
            states = block(states, visible)
        return masked_mean(self.norm(states), tokens)
