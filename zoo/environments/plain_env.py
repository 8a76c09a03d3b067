"""Environments of strangers, made to keep what Gymnasium's vector environment takes for granted."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np

from catzoo.hparams import RecipeError
from catzoo.zoo.system.console import say


class PlainEnv(gym.Wrapper):
    """Observations that are the caller's own, rewards and ends that are plain numbers, and no infos.

    `SyncVectorEnv` keeps the very object that an environment returns. Where every observation is written into
    the same array, a last observation would be the next episode's first. Infos that change their kind or
    length stop it, though nobody reads them.

    Several in one program draw from the same global streams, in the order in which they are stepped.
    """

    stateless = True
    """A checkpoint of the environment passes it by."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.space = env.observation_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """As the environment's, without infos; a seed is one for the global random streams too."""
        if seed is not None:  # not all environments draw from their own
            random.seed(seed)
            np.random.seed(seed % 2**32)
        return self._own(self.env.reset(seed=seed, options=options)[0]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        """As the environment's, without infos.

        Raises:
            RecipeError: an observation of another shape than the space's, or a reward that is no number.
        """
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return self._own(observation), self._number(reward), bool(terminated), bool(truncated), {}

    def _own(self, observation: Any) -> np.ndarray:
        own = np.array(observation, self.space.dtype)
        if own.shape != self.space.shape:
            wanted = list(self.space.shape)
            raise RecipeError(
                f"{self.name}: gave an observation of shape {list(own.shape)}, where its space says {wanted}"
            )
        return own

    def _number(self, reward: Any) -> float:
        try:
            return float(reward.item() if isinstance(reward, np.ndarray) else reward)
        except (TypeError, ValueError, OverflowError):
            raise RecipeError(f"{self.name}: gave a reward that is no number: {reward!r:.80}") from None


class Unseeded(gym.Wrapper):
    """Lets an environment be reset as others are, whose `reset` takes no seed or no options."""

    stateless = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """As the environment's, with what it takes."""
        said = {"seed": seed, "options": options}
        return self.env.reset(**{name: said[name] for name in said if _takes(self.env.reset, name)})


def plain(env: gym.Env) -> gym.Env:
    """An environment as the collector wants it: array observations, seeds, no surprises."""
    outer: Any = PlainEnv(_flat(env))
    wrapper = outer
    while isinstance(wrapper, gym.Wrapper):  # whichever of its wrappers, or itself, cannot be given a seed
        if not all(_takes(wrapper.env.reset, name) for name in ("seed", "options")):
            if not _takes(wrapper.env.reset, "seed"):
                _say_unseeded(outer.name)
            wrapper.env = Unseeded(wrapper.env)
            wrapper = wrapper.env
        wrapper = wrapper.env
    return outer


def _flat(env: gym.Env) -> gym.Env:
    """With a vector where the observation is no array: one-hot where it is discrete."""
    space = env.observation_space
    is_array = isinstance(space, gym.spaces.Box) and space.shape
    return env if is_array else gym.wrappers.FlattenObservation(env)


def _takes(reset: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(reset).parameters
    return name in parameters or any(one.kind == one.VAR_KEYWORD for one in parameters.values())


@cache
def _say_unseeded(name: str) -> None:
    say(
        f"{name}: its reset takes no seed: a run repeats only if it draws from NumPy's or Python's own stream"
    )
