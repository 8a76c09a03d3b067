"""Several games in one vector environment, for one network that plays them all: `GAME+GAME`.

Observations are filled up with zeros to one shape, and actions to one number. An action means the same in all
games of MinAtar, and in all of Atari: they have their full sets of actions then. Elsewhere an action that a
game has not is its first one.

Legend: N environments, G games; environment i plays game i modulo G.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from catzoo.hparams import RecipeError

BETWEEN = "+"
"""Between the names of games."""


def games_of(env: str) -> list[str]:
    """The games in a name: one for most environments."""
    return env.split(BETWEEN)


class ManyGames(VectorEnv):
    """N environments of G games, side by side.

    Args:
        parts: a vector environment of each game, with autoreset SAME_STEP; part g holds environments g,
            g + G, g + 2 G …
        names: of the games.

    Raises:
        RecipeError: spaces that cannot be filled up to one, or another kind of autoreset.
    """

    def __init__(self, parts: Sequence[VectorEnv], names: Sequence[str]) -> None:
        self.parts, self.names = list(parts), list(names)
        self.num_envs = sum(part.num_envs for part in parts)
        self.rows = [slice(index, None, len(parts)) for index in range(len(parts))]
        if any(part.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP for part in parts):
            raise RecipeError(
                f"{BETWEEN.join(names)}: one of them begins new episodes in a step of their own"
            )
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = self._observations([part.single_observation_space for part in parts])
        self.single_action_space = self._actions([part.single_action_space for part in parts])
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _observations(self, spaces: Sequence[gym.spaces.Box]) -> gym.spaces.Box:
        first = spaces[0]
        for name, space in zip(self.names, spaces, strict=True):
            if len(space.shape) != len(first.shape) or space.dtype != first.dtype:
                raise RecipeError(
                    f"{name}: observations {list(space.shape)} of {space.dtype} do not go with those of "
                    f"{self.names[0]}, {list(first.shape)} of {first.dtype}, in one network"
                )
        shape = tuple(max(sizes) for sizes in zip(*(space.shape for space in spaces), strict=True))
        low = min(float(space.low.min()) for space in spaces)
        high = max(float(space.high.max()) for space in spaces)
        return gym.spaces.Box(min(low, 0), max(high, 0), shape, first.dtype)

    def _actions(self, spaces: Sequence[gym.Space]) -> gym.Space:
        if all(isinstance(space, gym.spaces.Discrete) for space in spaces):
            return gym.spaces.Discrete(max(int(space.n) for space in spaces))
        if all(isinstance(space, gym.spaces.Box) for space in spaces):
            return gym.spaces.Box(-1.0, 1.0, (max(space.shape[0] for space in spaces),), np.float32)
        raise RecipeError(f"{BETWEEN.join(self.names)}: some have discrete actions, and some continuous ones")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """First observations [N, ...]; the environments of a game are seeded from `seed` + N · its number."""
        observation = self._empty()
        for index, part in enumerate(self.parts):
            own = None if seed is None else seed + index * self.num_envs
            self._fill(observation[self.rows[index]], part.reset(seed=own, options=options)[0])
        return observation, {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As each game's; `final_obs` [N] is filled up too."""
        observation, reward = self._empty(), np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=bool)
        final: np.ndarray = np.full(self.num_envs, None, dtype=object)
        for part, rows in zip(self.parts, self.rows, strict=True):
            own = self._own(part.single_action_space, np.asarray(actions)[rows])
            seen, reward[rows], terminated[rows], truncated[rows], infos = part.step(own)
            self._fill(observation[rows], seen)
            for i in np.flatnonzero(terminated[rows] | truncated[rows]):
                final[rows.start + i * len(self.parts)] = self._filled(infos["final_obs"][i])
        ended = terminated | truncated
        return observation, reward, terminated, truncated, {"final_obs": final} if ended.any() else {}

    @staticmethod
    def _own(space: gym.Space, actions: np.ndarray) -> np.ndarray:
        """A game's own actions for those of the agent."""
        if isinstance(space, gym.spaces.Discrete):
            return np.where(actions < space.n, actions, 0)
        return actions[:, : space.shape[0]]

    def _empty(self) -> np.ndarray:
        return np.zeros(
            (self.num_envs, *self.single_observation_space.shape), self.single_observation_space.dtype
        )

    def _filled(self, observation: np.ndarray) -> np.ndarray:
        one = np.zeros(self.single_observation_space.shape, self.single_observation_space.dtype)
        self._fill(one[None], observation[None])
        return one

    @staticmethod
    def _fill(into: np.ndarray, observation: np.ndarray) -> None:
        into[tuple(slice(size) for size in observation.shape)] = observation

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

        states = [simulator_state(part) for part in self.parts]
        if None in states:
            raise UnknownStateError(self.names[states.index(None)])
        return {str(index): state for index, state in enumerate(states)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it."""
        from catzoo.agents.collecting.simulators import restore_simulator

        for index, part in enumerate(self.parts):
            restore_simulator(part, state[str(index)])
