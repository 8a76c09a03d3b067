"""A causal transformer, as GPT is one (Radford et al. 2018; pre-norm as in GPT-2).

Deviations: no dropout; what goes in is embedded already, so that tokens, numbers and pictures may be mixed.

Legend: B batch, N tokens, D model size.
"""

from __future__ import annotations

from torch import Tensor, nn

from catzoo.agents.networks.attention import AttentionBlock, Positions


class CausalTransformer(nn.Module):
    """Embedded tokens [B, N, D] to features [B, N, D], of which each knows those before it and itself.

    Args:
        length: N at most.
        size: D.
        num_layers: blocks.
        num_heads: of attention, which divide D.

    Raises:
        ValueError: heads that do not divide the size.
    """

    def __init__(self, length: int, size: int, *, num_layers: int = 2, num_heads: int = 4) -> None:
        super().__init__()
        if size % num_heads:
            raise ValueError(f"network.num_heads={num_heads} must divide network.size={size}")
        self.positions = Positions(length, size)
        self.blocks = nn.Sequential(
            *(AttentionBlock(size, num_heads, causal=True) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(size)
        self.num_features = size

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """[B, N, D] to the same shape."""
        return self.norm(self.blocks(self.positions(tokens_BND)))
