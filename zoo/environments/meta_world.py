"""Meta-World's 50 tasks of a Sawyer arm (Yu et al. 2019, arXiv 1910.10897): `metaworld/reach-v3` and others.

An observation is 39 numbers, float32: the gripper and up to two things, now and a step before, and the goal.
An episode ends when the task is done, with the reward 1; every other reward is 0, and 200 steps truncate: a
return is 1 or 0, and a mean return the rate of success. Every reset draws new places from the environment's
own stream, so that a seed repeats them. (Meta-World itself has shaped rewards up to 10 a step, goes on after
a success until step 500, and draws from 50 places that are not the seed's.)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.mujoco import heed_warnings

META_WORLD = "metaworld/"
"""What the names of its tasks begin with."""
STEPS = 200
"""Of an episode at most; its own experts need 50 to 120."""
NUMBERS = 39
"""Of an observation."""


def register_meta_world() -> None:
    """Registers the tasks; RecipeError where Meta-World is not installed."""
    tasks = _import("metaworld.env_dict").ALL_V3_ENVIRONMENTS
    heed_warnings()
    for task in tasks:
        if META_WORLD + task not in gym.registry:
            gym.register(
                META_WORLD + task, entry_point=f"{__name__}:{MetaWorldTask.__name__}", kwargs={"task": task},
                max_episode_steps=STEPS, disable_env_checker=True,
            )  # fmt: skip


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise RecipeError(
            "Meta-World is not installed: pip install 'catzoo[metaworld]', which goes with the extra robots, "
            "and not with mujoco or dmc"
        ) from None


def scripted_policy(env: str) -> Callable[[np.ndarray], np.ndarray]:
    """Meta-World's own expert for a task: an observation [39] to an action [4].

    Raises:
        RecipeError: Meta-World is not installed, or there is no such task.
    """
    policies, task = _import("metaworld.policies").ENV_POLICY_MAP, env.removeprefix(META_WORLD)
    if task not in policies:
        raise RecipeError(f"{env}: Meta-World has no such task")
    return policies[task]().get_action


class MetaWorldTask(gym.Wrapper):
    """A task that ends when it is done.

    Args:
        task: such as `reach-v3`.
        render_mode: `rgb_array` or None.
    """

    def __init__(self, task: str, render_mode: str | None = None) -> None:
        tasks = _import("metaworld.env_dict").ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
        env = tasks[f"{task}-goal-observable"](seed=0, render_mode=render_mode)
        env._freeze_rand_vec, env.seeded_rand_vec = False, True  # new places each time, by the seed
        super().__init__(env)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (NUMBERS,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """New places of things and goal."""
        if seed is not None:
            self.unwrapped.seed(seed % 2**32)
        observation, info = self.env.reset()
        return observation.astype(np.float32), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """An 80th of a second; the reward is 1 when the task is done, which ends the episode, else 0."""
        observation, _, _, truncated, info = self.env.step(action)
        done = bool(info["success"])
        return observation.astype(np.float32), float(done), done, bool(truncated) and not done, info
