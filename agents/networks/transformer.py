"""A small transformer over patches of the observation (Dosovitskiy et al. 2021, arXiv 2010.11929).

Legend: B batch, N tokens, D model size, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from catzoo.agents.networks.attention import AttentionBlock, Positions
from catzoo.agents.networks.sizes import output_shape
from catzoo.agents.networks.torsos import Linear


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
        self.blocks = nn.Sequential(*(AttentionBlock(size, num_heads, linear) for _ in range(num_layers)))
        self.norm = nn.LayerNorm(size)
        self.num_features = size

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [B, C, H, W] to features [B, D]."""
        tokens_BND = self.patches(observation).flatten(2).transpose(1, 2)
        return self.norm(self.blocks(self.positions(tokens_BND))).mean(dim=1)


def patch(side: int) -> tuple[int, int]:
    """The patch's length along a side, and the zeros to pad at both ends.

    5 to 8 patches, as near to 6 as divides the side; where none does, 6 with padding.
    """
    fitting = [count for count in (6, 7, 5, 8) if side % count == 0]
    if fitting:
        return side // fitting[0], 0
    length = math.ceil(side / 6)
    return length, math.ceil((6 * length - side) / 2)
