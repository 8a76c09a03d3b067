"""Heads: features to K numbers for each action.

Legend: B batch, A actions, K numbers per value (bins, or 1), F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from catzoo.agents.networks.torsos import Linear


class LinearHead(nn.Module):
    """One linear layer: features to A x K outputs.

    `initial_outputs` [K] are the bias of every action at the beginning, and after a reset; None: as the layer
    has it.
    """

    initial_outputs: Tensor | None

    def __init__(
        self,
        num_features: int,
        num_actions: int,
        num_outputs: int,
        *,
        linear: Linear = nn.Linear,
        initial_outputs: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.shape = (num_actions, num_outputs)
        self.linear = linear(num_features, num_actions * num_outputs)
        self.register_buffer("initial_outputs", initial_outputs, persistent=False)
        self.reset_parameters()

    @property
    def parts(self) -> tuple[LinearHead, ...]:
        """The layers that its outputs are the sum of; `initial_outputs` are of the first."""
        return (self,)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Where the values begin; the layer has been initialised by itself."""
        if self.initial_outputs is not None:
            self.linear.bias.copy_(self.initial_outputs.repeat(self.shape[0]))

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] to outputs [B, A, K]."""
        return self.linear(features).unflatten(-1, self.shape)


class DuelingHead(nn.Module):
    """Value plus centred advantage, per output (Wang et al. 2016; over logits as in Rainbow).

    `initial_outputs` as `LinearHead`, of the value; the advantages' are then 0.
    """

    def __init__(
        self,
        num_features: int,
        num_actions: int,
        num_outputs: int,
        *,
        linear: Linear = nn.Linear,
        initial_outputs: Tensor | None = None,
    ) -> None:
        super().__init__()
        none = None if initial_outputs is None else torch.zeros_like(initial_outputs)
        self.value = LinearHead(num_features, 1, num_outputs, linear=linear, initial_outputs=initial_outputs)
        self.advantage = LinearHead(
            num_features, num_actions, num_outputs, linear=linear, initial_outputs=none
        )

    @property
    def parts(self) -> tuple[LinearHead, ...]:
        """See `LinearHead.parts`."""
        return self.value, self.advantage

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F] to outputs [B, A, K]."""
        advantage_BAK = self.advantage(features)
        return self.value(features) + advantage_BAK - advantage_BAK.mean(dim=-2, keepdim=True)


def in_float32(head: nn.Module, features: Tensor) -> Tensor:
    """What a head makes of features [B, F], in float32 under autocast too.

    A scalar value of 8 to 16 would be rounded to 1/16 in bf16, which bins would not notice.
    """
    if not torch.is_autocast_enabled(features.device.type):
        return head(features)
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())
