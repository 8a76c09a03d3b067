"""Atari on ALE's C++ vector environment; variants of its games on consoles of our own."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import shown
from catzoo.zoo.environments.protocols import ATARI, Protocol
from catzoo.zoo.environments.registry import find_spec, in_short
from catzoo.zoo.environments.variants import SWITCHES, switches_of
from catzoo.zoo.system.machine import usable_cores

LARGEST_ATARI = {
    "img_height": 1024,
    "img_width": 1024,
    "stack_num": 64,
    "frame_skip": 1000,
    "num_threads": 1024,
}
"""Options that decide how much memory and how many threads are taken."""
KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def make_atari(protocol: Protocol, num_envs: int, **render: Any) -> VectorEnv:
    """A game of Atari's; `render` is for variants, since ALE's vector environment does not draw."""
    game = find_spec(protocol.env).kwargs["game"]
    for name, most in LARGEST_ATARI.items():
        value = protocol.settings.get(name, 1)
        if not isinstance(value, int) or not 1 <= value <= most:
            raise RecipeError(f"{protocol.env}: env_options.{name}: must be at least 1 and at most {most}")
    for name in SWITCHES:
        if name in protocol.settings:
            raise RecipeError(
                f"{protocol.env}: env_options.{name}: belongs to the id, such as ALE/Pong-v5?{name}=1"
            )
    switches = switches_of(protocol.env)
    try:
        if switches:
            return _consoles(game, num_envs, **switches, **protocol.settings, **render)
        return _in_cpp(game, num_envs, **protocol.settings)
    except Exception as error:
        raise RecipeError(f"{protocol.env}: env_options: {in_short(error)}") from None


def _in_cpp(game: str, num_envs: int, **settings: Any) -> VectorEnv:
    from ale_py.vector_env import AtariVectorEnv

    threads = {"num_threads": min(num_envs, usable_cores())}
    made = AtariVectorEnv(game, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **{**threads, **settings})
    return LostLives(made) if settings.get("life_loss_info") else made


def _consoles(game: str, num_envs: int, **settings: Any) -> VectorEnv:
    from catzoo.zoo.environments.atari_console import AtariConsole

    for name, usual in ATARI.items():
        kind = type(usual)
        if type(settings[name]) not in ({int, float} if kind is float else {kind}):
            raise ValueError(f"{name}={shown(settings[name])}: must be {KINDS[kind]}")

    def one() -> gym.Env:
        return AtariConsole(game, **settings)

    return SyncVectorEnv([one] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


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
