"""A running scale of returns. Rewards divided by it give values that one support holds in every environment.

After SimbaV2 (Lee et al. 2025, arXiv 2502.15280, section 4.3), whose `NormalizeReward` this is, but that
replay keeps the rewards as they were, and divides them by today's scale when a batch is sampled.

Legend: N environments, T steps.
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from catzoo.agents.networks.running_moments import RunningMoments
from catzoo.hparams.recipe import AUTO_END


class ReturnScale(RunningMoments):
    """max(standard deviation of G, largest |G| / `AUTO_END`), over all that it was given; 1 before that.

    G is a return by its past, G_t = r_t + gamma G_(t-1), from 0 at the start of an episode. What was seen is
    in buffers, and so a part of an agent's weights.
    """

    largest: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.zeros(()))

    def forward(self) -> Tensor:
        """The scale, a number in units of reward."""
        scale = torch.maximum(self.deviation, self.largest / AUTO_END)
        return torch.where(scale > 0, scale, torch.ones_like(scale))

    @torch.no_grad()
    def update(self, seen: Tensor) -> None:
        """Takes more G [n]."""
        if len(seen):
            super().update(seen)
            self.largest.copy_(torch.maximum(self.largest, seen.to(self.largest).abs().max()))


class RunningReturns:
    """G of the open episodes of N environments.

    Args:
        num_envs: N.
        gamma: the discount.
        reward_clip: clips rewards to ± this first; None: not.
    """

    def __init__(self, num_envs: int, gamma: float, reward_clip: float | None = None) -> None:
        self.gamma, self.reward_clip = gamma, reward_clip
        self.returns_N = torch.zeros(num_envs)

    def add(self, rollout: TensorDictBase) -> Tensor:
        """G [n] at every step of a rollout [N, T] in TorchRL's layout, reset steps left out."""
        following, mask_NT = rollout["next"], rollout["collector", "mask"]
        reward_NT, done_NT = (following[name].squeeze(-1) for name in ("reward", "done"))
        if self.reward_clip is not None:
            reward_NT = reward_NT.clamp(-self.reward_clip, self.reward_clip)
        seen_NT = torch.empty_like(reward_NT)
        for t in range(reward_NT.shape[1]):
            seen_NT[:, t] = reward_NT[:, t] + self.gamma * self.returns_N
            self.returns_N = torch.where(done_NT[:, t] | ~mask_NT[:, t], 0.0, seen_NT[:, t])
        return seen_NT[mask_NT]

    def begin(self) -> None:
        """New episodes everywhere."""
        self.returns_N = torch.zeros_like(self.returns_N)

    def state_dict(self) -> dict[str, Any]:
        """G [N]."""
        return {"returns": self.returns_N}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it."""
        self.returns_N = state["returns"].clone()
