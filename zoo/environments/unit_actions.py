"""Actions within -1 and 1, whatever an environment's own bounds are."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorActionWrapper, VectorEnv
from gymnasium.vector.utils import batch_space


class UnitActions(VectorActionWrapper):
    """The same environments with actions in Box(-1, 1, (M,), float32); what lies outside is clipped.

    Where -1 is an environment's lowest action and 1 its highest, an agent's entropy and noise have the same
    units everywhere.
    """

    stateless = True
    """A checkpoint of the environment passes it by."""

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        own = env.single_action_space
        self.low, self.high, self.dtype = own.low, own.high, own.dtype
        # Halves first: the difference of finite bounds may be infinite.
        self.center, self.half = own.low / 2 + own.high / 2, own.high / 2 - own.low / 2
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, own.shape, np.float32)
        self.action_space = batch_space(self.single_action_space, env.num_envs)
        if hasattr(env, "envs"):  # whose names and pictures others look up
            self.envs = env.envs

    def actions(self, actions: Any) -> np.ndarray:
        """The environment's own actions [N, M] for those of an agent."""
        return np.clip(self.center + self.half * np.asarray(actions), self.low, self.high).astype(self.dtype)


def problem_of_box(space: gym.spaces.Box) -> str | None:
    """Why actions in a box cannot be brought within -1 and 1."""
    if len(space.shape) != 1 or not space.shape[0]:
        return f"needs a vector of actions, but it has {in_words(space)}"
    if space.dtype.kind != "f":
        return f"needs actions that are discrete or floats, but it has {in_words(space)}"
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        return f"needs actions with finite bounds, but it has {in_words(space)}: give its action_space some"
    return None


def in_words(space: gym.Space) -> str:
    """A space in one line: that of a long vector has many."""
    words = " ".join(str(space).split())
    return words if len(words) <= 120 else f"{words[:117]}..."
