"""Atari on ALE's C++ vector environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.protocols import Protocol
from catzoo.zoo.environments.registry import find_spec, in_short
from catzoo.zoo.system.machine import usable_cores

LARGEST_ATARI = {
    "img_height": 1024,
    "img_width": 1024,
    "stack_num": 64,
    "frame_skip": 1000,
    "num_threads": 1024,
}
"""Options that decide how much memory and how many threads are taken."""


def make_atari(protocol: Protocol, num_envs: int) -> VectorEnv:
    from ale_py.vector_env import AtariVectorEnv

    spec = find_spec(protocol.env)
    for name, most in LARGEST_ATARI.items():
        value = protocol.settings.get(name, 1)
        if not isinstance(value, int) or not 1 <= value <= most:
            raise RecipeError(f"{protocol.env}: env_options.{name}: must be at least 1 and at most {most}")
    try:
        made = AtariVectorEnv(
            spec.kwargs["game"],
            num_envs,
            autoreset_mode=AutoresetMode.SAME_STEP,
            **{"num_threads": min(num_envs, usable_cores()), **protocol.settings},
        )
    except Exception as error:
        raise RecipeError(f"{protocol.env}: env_options: {in_short(error)}") from None
    return LostLives(made) if protocol.settings.get("life_loss_info") else made


class LostLives(VectorWrapper):
    """Makes ALE's `life_loss_info` usable: a lost life terminates an episode, and the game goes on.

    (Its `episodic_life` begins a new game instead, so that nothing behind the first life would be seen.) ALE
    leaves `final_obs` unwritten where the game goes on; there it is the observation itself, as
    `infos[GOES_ON]` [N] says.
    """

    def __init__(self, env: VectorEnv) -> None:
        from catzoo.agents.collecting.collector import GOES_ON  # brings torch

        super().__init__(env)
        self.goes_on = GOES_ON
        self.frame = np.zeros(env.num_envs, np.int64)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observation, infos = self.env.reset(**kwargs)
        self.frame = infos["episode_frame_number"].astype(np.int64)
        return observation, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As the environment's, with `GOES_ON`."""
        observation, reward, terminated, truncated, infos = self.env.step(actions)
        frame = infos["episode_frame_number"].astype(np.int64)
        infos[self.goes_on] = goes_on = terminated & ~truncated & (frame > self.frame)
        self.frame = frame
        if goes_on.any():
            final = np.array(infos["final_obs"])
            final[goes_on] = observation[goes_on]
            infos["final_obs"] = final
        return observation, reward, terminated, truncated, infos
