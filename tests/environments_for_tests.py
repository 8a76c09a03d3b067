"""An environment whose every number is known, and a policy without choice."""

import contextlib

import gymnasium as gym
import numpy as np
import torch
from torch import nn


class Corridor(gym.Env):
    """Counts up: observation t, reward t + 1; terminates at `length`, or is truncated at `limit`."""

    observation_space = gym.spaces.Box(0, 1e6, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length=5, limit=None, fail_at=None):
        self.length, self.limit, self.fail_at = length, limit, fail_at

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.array([0.0], np.float32), {}

    def step(self, action):
        self.t += 1
        if self.t == self.fail_at:
            raise RuntimeError("the corridor collapsed")
        terminated = self.t >= self.length
        truncated = self.limit is not None and self.t >= self.limit
        return np.array([self.t], np.float32), float(self.t), terminated, truncated, {}


class Left(nn.Module):
    """Always action 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, observation):
        return np.zeros(len(observation), np.int64)

    def get_extra_state(self):
        return {}

    def set_extra_state(self, state):
        pass


@contextlib.contextmanager
def registered(name, make):
    gym.register(name, entry_point=make)
    try:
        yield name
    finally:
        del gym.registry[name]
