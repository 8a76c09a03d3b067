"""Heads: features to K numbers for each action.

Legend: B batch, A actions, K numbers per value (bins, or 1), F features.
"""

from __future__ import annotations

from torch import Tensor, nn

from catzoo.agents.networks.torsos import Linear


class LinearHead(nn.Module):
    """One linear layer: features to A x K outputs."""

    def __init__(
        self, num_features: int, num_actions: int, num_outputs: int, *, linear: Linear = nn.Linear
    ) -> None:
        super().__init__()
        self.shape = (num_actions, num_outputs)
        self.linear = linear(num_features, num_actions * num_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] to outputs [B, A, K]."""
        return self.linear(features).unflatten(-1, self.shape)


class DuelingHead(nn.Module):
    """Value plus centred advantage, per output (Wang et al. 2016; over logits as in Rainbow)."""

    def __init__(
        self, num_features: int, num_actions: int, num_outputs: int, *, linear: Linear = nn.Linear
    ) -> None:
        super().__init__()
        self.value = LinearHead(num_features, 1, num_outputs, linear=linear)
        self.advantage = LinearHead(num_features, num_actions, num_outputs, linear=linear)

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] to outputs [B, A, K]."""
        advantage_BAK = self.advantage(features)
        return self.value(features) + advantage_BAK - advantage_BAK.mean(dim=-2, keepdim=True)
