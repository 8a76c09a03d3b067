"""A small transformer over patches of the observation (Dosovitskiy et al. 2021, arXiv 2010.11929).

Legend: B batch, N tokens, D model size, H heads, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.agents.networks.sizes import output_shape
from catzoo.agents.networks.torsos import Linear


class _EncoderBlock(nn.Module):
    """Self-attention and a feed-forward layer, each behind its normalisation and around a shortcut."""

    def __init__(self, size: int, num_heads: int, linear: Linear) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.project = nn.Linear(size, size)
        self.norm2 = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(linear(size, 4 * size), nn.GELU(), linear(4 * size, size))

    def forward(self, x_BND: Tensor) -> Tensor:
        qkv = self.qkv(self.norm1(x_BND)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended_BHND = F.scaled_dot_product_attention(query, key, value)
        x_BND = x_BND + self.project(attended_BHND.transpose(1, 2).flatten(2))
        return x_BND + self.feed_forward(self.norm2(x_BND))


class Transformer(nn.Module):
    """Patches of the frame stack, learned positions, pre-norm encoder blocks, and the mean over tokens.

    The patch follows from the observation: 14x14 on 84x84 frames, 36 tokens; 2x2 on 10x10 grids, 25.
    `width` scales the model size of 128, in whole heads of 4. With a noisy `linear` the feed-forward
    layers are noisy.

    Deviations from the paper: no class token, and no dropout.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: float = 1.0,
        *,
        num_layers: int = 2,
        num_heads: int = 4,
        linear: Linear = nn.Linear,
    ) -> None:
        super().__init__()
        size = num_heads * max(round(128 * width / num_heads), 1)
        (height, pad_height), (patch_width, pad_width) = patch(shape[1]), patch(shape[2])
        self.patches = nn.Conv2d(
            shape[0],
            size,
            (height, patch_width),
            stride=(height, patch_width),
            padding=(pad_height, pad_width),
        )
        num_tokens = math.prod(output_shape(self.patches, shape)[1:])
        self.positions = Positions(num_tokens, size)
        self.blocks = nn.Sequential(*(_EncoderBlock(size, num_heads, linear) for _ in range(num_layers)))
        self.norm = nn.LayerNorm(size)
        self.num_features = size

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to features [B, D]."""
        tokens_BND = self.patches(observation).flatten(2).transpose(1, 2)
        return self.norm(self.blocks(self.positions(tokens_BND))).mean(dim=1)


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
        """Tokens [B, N, D] to the same with their positions."""
        return tokens_BND + self.embeddings


def patch(side: int) -> tuple[int, int]:
    """The patch's length along a side, and the zeros to pad at both ends.

    5 to 8 patches, as near to 6 as divides the side; where none does, 6 with padding.
    """
    fitting = [count for count in (6, 7, 5, 8) if side % count == 0]
    if fitting:
        return side // fitting[0], 0
    length = math.ceil(side / 6)
    return length, math.ceil((6 * length - side) / 2)
