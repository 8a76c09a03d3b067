"""Policies: distributions over actions, as plain tensors.

A policy has a `mode`, the action in evaluation, and `sample(noise)` to explore, whose noise comes from
outside: whoever plays draws it from a random stream of its own.

Legend: B batch, A actions to choose from, M numbers of an action.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class SquashedGaussian(NamedTuple):
    """tanh of a Gaussian: a distribution over actions in [-1, 1]^M."""

    mean: Tensor
    """[B, M], before the tanh."""
    log_std: Tensor
    """[B, M]."""

    LOG_STD = (-5.0, 2.0)
    """Bounds that networks keep to."""

    @property
    def mode(self) -> Tensor:
        """The action [B, M] of the mean."""
        return self.mean.tanh()

    def sample(self, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(action [B, M], its log-density [B]), differentiable; noise [B, M] is standard normal.

        The density is of actions in [-1, 1], whatever the environment makes of them. It goes by the number
        before the tanh: taken back from an action at the end of its range that would be infinite.
        """
        noise = torch.randn_like(self.mean) if noise is None else noise
        before = self.mean + self.log_std.exp() * noise
        log_slope = 2 * (math.log(2) - before - F.softplus(-2 * before))  # of tanh
        log_density = -noise.square() / 2 - self.log_std - math.log(2 * math.pi) / 2 - log_slope
        return before.tanh(), log_density.sum(-1)


class Deterministic(NamedTuple):
    """One action in [-1, 1]^M, around which noise explores."""

    mode: Tensor
    """[B, M]."""

    def sample(self, noise: Tensor) -> tuple[Tensor, None]:
        """(action [B, M] with noise [B, M] added, within its range; None, as it has no density)."""
        return (self.mode + noise).clamp(-1, 1), None


class Categorical(NamedTuple):
    """A choice of one of A actions."""

    log_probs: Tensor
    """[B, A], normalised."""

    @property
    def mode(self) -> Tensor:
        """The likeliest action [B]."""
        return self.log_probs.argmax(-1)

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """(action [B], its log-probability [B]); noise [B] is uniform in [0, 1)."""
        mass_BA = self.log_probs.exp().cumsum(-1)
        action_B = (mass_BA <= noise.unsqueeze(-1) * mass_BA[..., -1:]).sum(-1)
        action_B = action_B.clamp(max=mass_BA.shape[-1] - 1)  # a noise of 1 - 2^-24 may round to the end
        return action_B, self.log_prob(action_B)

    def log_prob(self, action: Tensor) -> Tensor:
        """Of actions [B]: [B]."""
        return self.log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """[B], in nats."""
        return -(self.log_probs.exp() * self.log_probs).sum(-1)


class Gaussian(NamedTuple):
    """Independent Gaussians [B, M]; an environment takes what lies outside of [-1, 1] as its nearest end."""

    mean: Tensor
    """[B, M]."""
    log_std: Tensor
    """[B, M]."""

    @property
    def mode(self) -> Tensor:
        """The mean [B, M], within the range."""
        return self.mean.clamp(-1, 1)

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """(action [B, M] as it was drawn, its log-density [B]); noise [B, M] is standard normal."""
        action_BM = self.mean + self.log_std.exp() * noise
        return action_BM, self.log_prob(action_BM)

    def log_prob(self, action: Tensor) -> Tensor:
        """Of actions [B, M]: [B]."""
        apart_BM = (action - self.mean) * (-self.log_std).exp()
        return (-apart_BM.square() / 2 - self.log_std - math.log(2 * math.pi) / 2).sum(-1)

    def entropy(self) -> Tensor:
        """[B], in nats."""
        return (self.log_std + (1 + math.log(2 * math.pi)) / 2).sum(-1)
