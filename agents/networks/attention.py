"""What all transformers are made of: blocks of self-attention, and learned positions.

Legend: B batch, N tokens, D model size, H heads.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttentionBlock(nn.Module):
    """Self-attention and a feed-forward layer, each behind its normalisation and around a shortcut.

    Args:
        size: D.
        num_heads: H, which divides D.
        linear: of the feed-forward layer.
        causal: whether a token sees only itself and those before it.
    """

    def __init__(
        self,
        size: int,
        num_heads: int,
        linear: Callable[[int, int], nn.Module] = nn.Linear,
        *,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads, self.causal = num_heads, causal
        self.norm1 = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.project = nn.Linear(size, size)
        self.norm2 = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(linear(size, 4 * size), nn.GELU(), linear(4 * size, size))

    def forward(self, x_BND: Tensor, bias: Tensor | None = None) -> Tensor:
        """Tokens [B, N, D] to the same shape; bias [H, N, N] is added to the scores of the attention."""
        qkv = self.qkv(self.norm1(x_BND)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended_BHND = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, is_causal=self.causal
        )
        x_BND = x_BND + self.project(attended_BHND.transpose(1, 2).flatten(2))
        return x_BND + self.feed_forward(self.norm2(x_BND))


class Positions(nn.Module):
    """Adds a learned embedding to each position."""

    def __init__(self, num_tokens: int, size: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.empty(num_tokens, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal with standard deviation 0.02."""
        nn.init.normal_(self.embeddings, std=0.02)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Tokens [B, N, D] of the first N positions to the same with their positions."""
        return tokens_BND + self.embeddings[: tokens_BND.shape[-2]]
