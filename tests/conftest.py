"""Shared by all tests: one thread, tiny environments and tiny agents."""

import gymnasium as gym
import numpy as np
import pytest
import torch


def pytest_collection_modifyitems(items):
    """A plain `pytest` run leaves out what this machine cannot do."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


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


@pytest.fixture
def corridor():
    """Makes a vector of corridors: one length for each environment."""

    def make(lengths=(5, 7), limit=None, mode=gym.vector.AutoresetMode.SAME_STEP):
        makers = [lambda n=n: Corridor(n, limit) for n in lengths]
        return gym.vector.SyncVectorEnv(makers, autoreset_mode=mode)

    return make
