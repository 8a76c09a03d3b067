"""Exploration: what plays a batch of environments, and the schedule of its random actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
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
        # Not `seed` alone, as Gymnasium seeds environment 0: luck there and choices here would be one.
        self.random = np.random.default_rng([seed, 1])
        self.noise: torch.Generator | None = None
        """The stream of the network's noisy layers, if it has one of its own."""
        self.place: tuple[int, int] | None = None
        """Of a share of the environments the number of its first one, and how many there are in the whole."""

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
        allowed: observation [N, ...] to which actions are to be chosen from [N, A], bool; None: all.
        seed: of the exploration's own random stream, which is part of a checkpoint.
    """

    def __init__(
        self,
        network: nn.Module,
        decode: Callable[[Tensor], Tensor],
        num_actions: int,
        *,
        allowed: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(network, seed=seed)
        self.decode, self.num_actions, self.allowed = decode, num_actions, allowed

    @torch.no_grad()
    def forward(self, observation: Tensor) -> np.ndarray:
        """Observation [N, ...] on the network's device to actions [N], int64, on the host."""
        explore = self.random.random(len(observation)) < self.epsilon
        anywhere = self.random.integers(self.num_actions, size=len(observation))
        if explore.all():
            return anywhere
        value_NA = self.decode(self.network(observation))
        if self.allowed is not None:
            value_NA = value_NA.masked_fill(~self.allowed(observation), -torch.inf)
        return np.where(explore, anywhere, value_NA.argmax(dim=-1).cpu().numpy())


class SampledActions(Exploration):
    """Anywhere with probability `epsilon`, else a sample of the policy; its mode in evaluation.

    Args:
        network: observation [N, ...] to one of `catzoo.agents.networks.policies`.
        space: of one action, `Discrete` or a `Box` within ±1.
        seed: as `Exploration`.
        spread: factor on a continuous policy's noise in the first environment and in the last one; those of
            the others lie evenly between.
        density: whether the column `log_prob` goes with what is sampled.
    """

    def __init__(
        self,
        network: nn.Module,
        space: gym.Space,
        *,
        seed: int = 0,
        spread: tuple[float, float] = (1.0, 1.0),
        density: bool = False,
    ) -> None:
        super().__init__(network, seed=seed)
        self.space, self.spread, self.density = space, spread, density

    @torch.no_grad()
    def forward(self, observation: Tensor) -> np.ndarray | tuple[np.ndarray, dict[str, np.ndarray]]:
        """Observation [N, ...] on the network's device to actions [N, ...], on the host."""
        number, more = len(observation), {}
        explore = self.random.random(number) < self.epsilon
        anywhere = self._anywhere(number)
        if explore.all():
            return anywhere
        policy = self.network(observation)
        if self.network.training:
            action, log_prob = policy.sample(self._noise(number).to(policy.mode.device))
            more = {"log_prob": log_prob.cpu().numpy()} if self.density else {}
        else:
            action = policy.mode
        explore = explore.reshape(number, *[1] * len(self.space.shape))
        action = np.where(explore, anywhere, action.cpu().numpy())
        return (action, more) if more else action

    def _anywhere(self, number: int) -> np.ndarray:
        if isinstance(self.space, gym.spaces.Discrete):
            return self.random.integers(int(self.space.n), size=number)
        return self.random.uniform(-1, 1, (number, *self.space.shape)).astype(np.float32)

    def _noise(self, number: int) -> Tensor:
        if isinstance(self.space, gym.spaces.Discrete):
            return torch.from_numpy(self.random.random(number, np.float32))
        noise = self.random.standard_normal((number, *self.space.shape), np.float32)
        first, total = self.place or (0, number)
        spread = np.linspace(*self.spread, total, dtype=np.float32)
        noise *= spread[first : first + number, None]
        return torch.from_numpy(noise)


class GreedyActions(Exploration):
    """Anywhere in a box within ±1 with probability `epsilon`, else the best action.

    Args:
        network: of an agent's own kind.
        greedy: the network and observations [N, ...] to actions [N, M].
        space: of one action.
        seed: as `Exploration`.
    """

    def __init__(
        self,
        network: nn.Module,
        greedy: Callable[[nn.Module, Tensor], Tensor],
        space: gym.Space,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(network, seed=seed)
        self.greedy, self.space = greedy, space

    def forward(self, observation: Tensor) -> np.ndarray:
        """Observation [N, ...] on the network's device to actions [N, M], float32, on the host."""
        number = len(observation)
        explore = self.random.random((number, 1)) < self.epsilon
        anywhere = self.random.uniform(-1, 1, (number, *self.space.shape)).astype(np.float32)
        if explore.all():
            return anywhere
        return np.where(explore, anywhere, self.greedy(self.network, observation).cpu().numpy())
