"""The network of policy gradients: a policy over discrete or continuous actions, and the value of a state.

Legend: B batch, A actions, M numbers of an action, K outputs per value, F features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from catzoo.agents.networks.heads import in_float32
from catzoo.agents.networks.policies import Categorical, Gaussian
from catzoo.agents.networks.q_network import QNetwork
from catzoo.agents.networks.running_moments import ObservationNorm
from catzoo.agents.networks.torsos import MLP, MinAtarCNN, NatureCNN

SMALL = (MLP, MinAtarCNN, NatureCNN)
"""Torsos whose weights begin orthogonal: it takes minutes for those of a ResNet."""
Policy = Categorical | Gaussian
FIRST_SPREAD = 0.01
"""Gain of the policy's last layer: at first all actions are about as likely (Andrychowicz et al. 2021)."""


class PolicyValueNetwork(nn.Module):
    """A policy and a value, each with a torso of its own or both on one.

    Weights of small torsos begin orthogonal, as is usual for PPO; the value's head as that of any network.

    Args:
        observation_shape: of one observation, as the environment gives it.
        action_space: `Discrete`, for A actions, or a `Box` of M numbers in [-1, 1].
        num_outputs: K, from the value loss.
        shared: whether both stand on one torso.
        normalize: whether observations are scaled by what was seen of them.
        initial_outputs, options: of `QNetwork`; the former for the value alone.

    Raises:
        ValueError: as `QNetwork`.
    """

    def __init__(
        self,
        observation_shape: Sequence[int],
        action_space: gym.Space,
        num_outputs: int,
        *,
        shared: bool = False,
        normalize: bool = False,
        initial_outputs: Tensor | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.normalize = ObservationNorm(observation_shape) if normalize else None
        discrete = isinstance(action_space, gym.spaces.Discrete)
        number = int(action_space.n) if discrete else math.prod(action_space.shape)
        self.value = QNetwork(observation_shape, 1, num_outputs, initial_outputs=initial_outputs, **options)
        self.policy = QNetwork(observation_shape, number, 1, **options)
        self.shared = shared
        if shared:
            self.policy.torso = nn.Identity()  # its head stands on the value's
        for torso in (self.value.torso, self.policy.torso):
            if isinstance(torso, SMALL):
                _orthogonal(torso, math.sqrt(2))
        _orthogonal(self.policy.head, FIRST_SPREAD)
        self.log_std = None if discrete else nn.Parameter(torch.zeros(number))

    def seen(self, observation: Tensor) -> Tensor:
        """Observation [B, ...] to what the torsos take."""
        return observation if self.normalize is None else self.normalize(observation)

    def forward(self, observation: Tensor) -> Policy:
        """The policy at observations [B, ...]."""
        torso = self.value if self.shared else self.policy
        return self._policy_of(torso.features(self.seen(observation)))

    def outputs(self, observation: Tensor) -> Tensor:
        """The value's outputs [B, K] at observations [B, ...]."""
        return self.value(self.seen(observation))[:, 0]

    def both(self, observation: Tensor) -> tuple[Policy, Tensor]:
        """Policy and outputs, by one pass where the torso is shared."""
        if not self.shared:
            return self(observation), self.outputs(observation)
        features = self.value.features(self.seen(observation))
        return self._policy_of(features), in_float32(self.value.head, features)[:, 0]

    @torch.no_grad()
    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The value's outputs [B, 1, K] at observations [B, ...], and the policy's modes [B, ...]."""
        policy, outputs_BK = self.both(observation)
        return outputs_BK[:, None], policy.mode

    @torch.no_grad()
    def chances(self, observation: Tensor) -> Tensor | None:
        """The policy's probabilities [B, A] at observations [B, ...]; None where actions are continuous."""
        policy = self(observation)
        return policy.log_probs.exp() if isinstance(policy, Categorical) else None

    def _policy_of(self, features: Tensor) -> Policy:
        outputs = in_float32(self.policy.head, features)[..., 0]
        if self.log_std is None:
            return Categorical(outputs.log_softmax(-1))
        return Gaussian(outputs, self.log_std.expand_as(outputs))


def _orthogonal(module: nn.Module, gain: float) -> None:
    """Weights of a module's layers begin orthogonal, and their biases at 0 (Saxe et al. 2014)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.orthogonal_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
