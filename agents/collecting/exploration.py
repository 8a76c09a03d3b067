"""Exploration: what plays a batch of environments, and the schedule of its random actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LinearSchedule:
    """`start` until step `begin`, then a straight line to `end` over `duration` steps."""

    start: float
    end: float
    begin: int
    duration: int

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        if step < self.begin:
            return self.start
        done = (step - self.begin) / self.duration if self.duration else 1.0
        return self.start + min(done, 1.0) * (self.end - self.start)


class Exploration(nn.Module):
    """A policy that takes a share `epsilon` of its actions anywhere, and the rest as a network says.

    Args:
        network: of whatever kind the policy knows.
        seed: of the exploration's own random stream, which is part of a checkpoint.
    """

    def __init__(self, network: nn.Module, *, seed: int = 0) -> None:
        super().__init__()
        self.network = network
        self.epsilon = 1.0
        self.random = np.random.default_rng(seed)
        self.noise: torch.Generator | None = None
        """The stream of the network's noisy layers, if it has one of its own."""

    def get_extra_state(self) -> dict[str, Any]:
        """The positions of the random streams."""
        noise = None if self.noise is None else self.noise.get_state()
        return {"random": self.random.bit_generator.state, "noise": noise}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores the random streams."""
        self.random.bit_generator.state = state["random"]
        if self.noise is not None and state["noise"] is not None:
            own = self.noise.get_state()
            if own.shape == state["noise"].shape:  # else it was another kind of device's
                self.noise.set_state(state["noise"])


class EpsilonGreedy(Exploration):
    """Random with probability `epsilon`, else the action of greatest value.

    Args:
        network: observation [N, ...] to outputs [N, A, K].
        decode: outputs [N, A, K] to values [N, A].
        num_actions: A.
        seed: of the exploration's own random stream, which is part of a checkpoint.
    """

    def __init__(
        self, network: nn.Module, decode: Callable[[Tensor], Tensor], num_actions: int, *, seed: int = 0
    ) -> None:
        super().__init__(network, seed=seed)
        self.decode = decode
        self.num_actions = num_actions

    @torch.no_grad()
    def forward(self, observation: Tensor) -> np.ndarray:
        """Observation [N, ...] on the network's device to actions [N], int64, on the host."""
        explore = self.random.random(len(observation)) < self.epsilon
        anywhere = self.random.integers(self.num_actions, size=len(observation))
        if explore.all():
            return anywhere
        greedy = self.decode(self.network(observation)).argmax(dim=-1)
        return np.where(explore, anywhere, greedy.cpu().numpy())


class SampledActions(Exploration):
    """Uniform in [-1, 1]^M with probability `epsilon`, else a sample of the policy; its mode in evaluation.

    Args:
        network: observation [N, ...] to a `SquashedGaussian`.
        shape: of an action, [M].
        seed: as `Exploration`.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...], *, seed: int = 0) -> None:
        super().__init__(network, seed=seed)
        self.shape = shape

    @torch.no_grad()
    def forward(self, observation: Tensor) -> np.ndarray:
        """Observation [N, ...] on the network's device to actions [N, M], float32, on the host."""
        shape = (len(observation), *self.shape)
        explore = self.random.random(len(observation)) < self.epsilon
        anywhere = self.random.uniform(-1, 1, shape).astype(np.float32)
        if explore.all():
            return anywhere
        policy = self.network(observation)
        if self.network.training:
            noise = torch.from_numpy(self.random.standard_normal(shape, np.float32))
            action, _ = policy.sample(noise.to(policy.mean.device))
        else:
            action = policy.mode
        return np.where(explore[:, None], anywhere, action.cpu().numpy())
