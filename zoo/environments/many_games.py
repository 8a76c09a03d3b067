"""Several games in one vector environment, for one network that plays them all: `GAME+GAME`.

Observations are filled up with zeros to one shape, and actions to one number. An action means the same in all
games of MinAtar, and in all of Atari: different games have their full sets of actions then. Elsewhere an
action that a game has not is its first one.

Legend: N environments, G games; environment i plays game i modulo G.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.names import TOGETHER


def common_spaces(parts: Sequence[VectorEnv], names: Sequence[str]) -> tuple[gym.spaces.Box, gym.Space]:
    """Spaces of observations and actions that hold those of every game.

    Raises:
        RecipeError: there are none.
    """
    seen = [part.single_observation_space for part in parts]
    first = seen[0]
    for name, space in zip(names, seen, strict=True):
        if len(space.shape) != len(first.shape) or space.dtype != first.dtype:
            raise RecipeError(
                f"{name}: observations {list(space.shape)} of {space.dtype} do not go with those of "
                f"{names[0]}, {list(first.shape)} of {first.dtype}, in one network"
            )
    shape = tuple(max(sizes) for sizes in zip(*(space.shape for space in seen), strict=True))
    low, high = min(float(space.low.min()) for space in seen), max(float(space.high.max()) for space in seen)
    return gym.spaces.Box(min(low, 0), max(high, 0), shape, first.dtype), _common_actions(parts, names)


def _common_actions(parts: Sequence[VectorEnv], names: Sequence[str]) -> gym.Space:
    spaces = [part.single_action_space for part in parts]
    if all(isinstance(space, gym.spaces.Discrete) for space in spaces):
        return gym.spaces.Discrete(max(int(space.n) for space in spaces))
    if all(isinstance(space, gym.spaces.Box) for space in spaces):
        return gym.spaces.Box(-1.0, 1.0, (max(space.shape[0] for space in spaces),), np.float32)
    raise RecipeError(f"{TOGETHER.join(names)}: some have discrete actions, and some continuous ones")


class FilledUp(VectorWrapper):
    """A game in spaces that hold its own, see `common_spaces`."""

    def __init__(self, env: VectorEnv, observation: gym.spaces.Box, action: gym.Space) -> None:
        super().__init__(env)
        self.single_observation_space, self.single_action_space = observation, action
        self.observation_space, self.action_space = (
            batch_space(space, env.num_envs) for space in (observation, action)
        )

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """As the game's, filled up."""
        observation, infos = self.env.reset(**kwargs)
        return self._filled(observation), infos

    def step(self, actions: Any) -> tuple[np.ndarray, Any, Any, Any, dict[str, Any]]:
        """As the game's, `final_obs` filled up too."""
        space = self.env.single_action_space
        if isinstance(space, gym.spaces.Discrete):
            actions = np.where(np.asarray(actions) < space.n, actions, 0)
        else:
            actions = actions[:, : space.shape[0]]
        observation, reward, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            final = np.full(self.num_envs, None, dtype=object)
            for i in np.flatnonzero(terminated | truncated):
                final[i] = self._filled(infos["final_obs"][i][None])[0]
            infos = {**infos, "final_obs": final}
        return self._filled(observation), reward, terminated, truncated, infos

    def _filled(self, observation: np.ndarray) -> np.ndarray:
        space = self.single_observation_space
        filled = np.zeros((len(observation), *space.shape), space.dtype)
        filled[tuple(slice(size) for size in observation.shape)] = observation
        return filled


class ManyGames(VectorEnv):
    """N environments of G games, side by side.

    Args:
        parts: a vector environment of each game, with autoreset SAME_STEP; part g holds environments g,
            g + G, g + 2 G …
        names: of the games.

    Raises:
        RecipeError: see `common_spaces`, or another kind of autoreset.
    """

    def __init__(self, parts: Sequence[VectorEnv], names: Sequence[str]) -> None:
        spaces = common_spaces(parts, names)
        if any(part.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP for part in parts):
            raise RecipeError(f"{TOGETHER.join(names)}: one begins its episodes in a step of their own")
        self.parts, self.names = [FilledUp(part, *spaces) for part in parts], list(names)
        self.num_envs = sum(part.num_envs for part in parts)
        self.rows = [slice(index, None, len(parts)) for index in range(len(parts))]
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = spaces
        self.observation_space, self.action_space = (batch_space(space, self.num_envs) for space in spaces)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """First observations [N, ...]; the environments of a game are seeded from `seed` + N · its number."""
        observation = np.empty(self.observation_space.shape, self.observation_space.dtype)
        for index, (part, rows) in enumerate(zip(self.parts, self.rows, strict=True)):
            own = None if seed is None else seed + index * self.num_envs
            observation[rows], _ = part.reset(seed=own, options=options)
        return observation, {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As each game's."""
        observation = np.empty(self.observation_space.shape, self.observation_space.dtype)
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=bool)
        final = np.full(self.num_envs, None, dtype=object)
        for part, rows in zip(self.parts, self.rows, strict=True):
            observation[rows], reward[rows], terminated[rows], truncated[rows], infos = part.step(
                actions[rows]
            )
            if "final_obs" in infos:
                final[rows] = infos["final_obs"]
        ended = (terminated | truncated).any()
        return observation, reward, terminated, truncated, {"final_obs": final} if ended else {}

    def close_extras(self, **kwargs: Any) -> None:
        """Closes every game."""
        for part in self.parts:
            part.close(**kwargs)

    def state_dict(self) -> dict[str, Any]:
        """The state of every game, for a checkpoint.

        Raises:
            UnknownStateError: one that cannot be told.
        """
        from catzoo.agents.collecting.simulators import UnknownStateError, simulator_state  # brings torch

        states = [simulator_state(part.env) for part in self.parts]
        if None in states:
            raise UnknownStateError(self.names[states.index(None)])
        return {str(index): state for index, state in enumerate(states)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it."""
        from catzoo.agents.collecting.simulators import restore_simulator

        for index, part in enumerate(self.parts):
            restore_simulator(part.env, state[str(index)])
