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
from catzoo.hparams.schema import shown
from catzoo.zoo.environments.registry import in_short
from catzoo.zoo.system.console import say


class PlainEnv(gym.Wrapper):
    """Observations that are the caller's own, rewards and ends that are plain numbers, and no infos.

    `SyncVectorEnv` keeps the very object that an environment returns. Where every observation is written into
    the same array, a last observation would be the next episode's first. Those of float64 become float32,
    which replay and networks work in. Infos that change their kind or
    length stop it, though nobody reads them. What is no array becomes a vector, one-hot where it is discrete.

    Several in one program draw from the same global streams, in the order in which they are stepped.
    """

    stateless = True
    """A checkpoint of the environment passes it by."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.given = space = env.observation_space
        self.flat = not (isinstance(space, gym.spaces.Box) and space.shape)
        self.observation_space = self.space = _narrow(gym.spaces.flatten_space(space) if self.flat else space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """As the environment's, without infos; a seed is one for the global random streams too."""
        if seed is not None:  # not all environments draw from their own
            random.seed(seed)
            np.random.seed(seed % 2**32)
        try:
            observation, _ = self.env.reset(seed=seed, options=options)
        except SystemExit as error:
            raise self._left(error) from error
        return self._own(observation), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        """As the environment's, without infos.

        Raises:
            RecipeError: an observation that its space cannot hold, or a reward that is no number.
            RuntimeError: it wanted to end the program.
        """
        try:
            observation, reward, terminated, truncated, _ = self.env.step(action)
        except SystemExit as error:
            raise self._left(error) from error
        return self._own(observation), self._number(reward), bool(terminated), bool(truncated), {}

    def close(self) -> None:
        """As the environment's; one that cannot be closed is no reason to lose what was trained in it."""
        try:
            super().close()
        except (Exception, SystemExit) as error:
            _say_open(self.name, in_short(error))

    def _left(self, error: SystemExit) -> RuntimeError:
        # As it is, a command would end with the status that it says, and Lightning would take it for Ctrl-C.
        return RuntimeError(f"{self.name}: {in_short(error)}")

    def _own(self, observation: Any) -> np.ndarray:
        if self._fits(observation):
            return observation.copy()
        try:
            if _outside(self.given, observation):
                raise self._refused(f"of {shown(observation)}", f"where its space is {self.given!s:.80}")
            if self.flat:
                observation = gym.spaces.flatten(self.given, observation)
            with np.errstate(over="ignore"):  # who reads it refuses what float32 cannot hold
                own = np.array(observation, self.space.dtype)
        except RecipeError:
            raise
        except (TypeError, ValueError) as error:  # rows of different lengths, words
            raise self._refused("that is no array", in_short(error)) from None
        if own.shape != self.space.shape:
            wanted = list(self.space.shape)
            raise self._refused(f"of shape {list(own.shape)}", f"where its space says {wanted}")
        return own

    def _fits(self, observation: Any) -> bool:
        """Whether it is just what the space says, as nearly all are: nothing is left to be looked at."""
        return (
            not self.flat
            and type(observation) is np.ndarray
            and observation.dtype == self.given.dtype == self.space.dtype
            and observation.shape == self.space.shape
        )

    def _refused(self, what: str, why: str) -> RecipeError:
        return RecipeError(f"{self.name}: gave an observation {what}, {why}")

    def _number(self, reward: Any) -> float:
        try:
            return float(reward.item() if isinstance(reward, np.ndarray) else reward)
        except (TypeError, ValueError, OverflowError):
            raise RecipeError(f"{self.name}: gave a reward that is no number: {reward!r:.80}") from None


class Older(gym.Wrapper):
    """Lets an environment be reset and stepped as others are that was written for an older Gym.

    Its `reset` may take no seed or no options, or give no info; its `step` may say of the end only that it is
    one, and in its info whether it is a time limit's.
    """

    stateless = True

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.takes = [name for name in ("seed", "options") if _takes(env.reset, name)]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """As the environment's, with what it takes, and an info."""
        said = {"seed": seed, "options": options}
        answer = self.env.reset(**{name: said[name] for name in self.takes})
        whole = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)
        return answer if whole else (answer, {})

    def step(self, action: Any) -> Any:
        """As the environment's, with an end of either kind."""
        answer: Any = self.env.step(action)
        if len(answer) != 4:
            return answer
        observation, reward, done, info = answer
        cut = bool(info.get("TimeLimit.truncated", False))
        return observation, reward, bool(done) and not cut, bool(done) and cut, info


def plain(env: gym.Env) -> gym.Env:
    """An environment as the collector wants it: array observations, seeds, no surprises."""
    outer: Any = PlainEnv(env)
    wrapper = outer
    while isinstance(wrapper, gym.Wrapper):  # around itself, and whichever of its wrappers takes no seed
        inner = wrapper.env
        if not _takes(inner.reset, "seed"):
            _say_unseeded(outer.name)
        if inner is env.unwrapped or not all(_takes(inner.reset, name) for name in ("seed", "options")):
            wrapper.env = Older(inner)
        wrapper = inner
    return outer


def _narrow(space: gym.Space) -> gym.Space:
    if space.dtype != np.float64:
        return space
    with np.errstate(over="ignore"):
        low, high = (bound.astype(np.float32) for bound in (space.low, space.high))
    return gym.spaces.Box(low, high, dtype=np.float32)


def _outside(space: gym.Space, value: Any) -> bool:
    """Whether a space would take what it is given for something else, without a word.

    A number beyond a discrete space would be another one's, fractions among whole numbers are cut off, and
    256 is the 0 of a byte. Bounds of arrays are not looked at: many are guesses.
    """
    if isinstance(space, gym.spaces.Dict):
        return any(_outside(inner, value[key]) for key, inner in space.spaces.items())
    if isinstance(space, gym.spaces.Tuple):
        return any(_outside(inner, part) for inner, part in zip(space.spaces, value, strict=True))
    if isinstance(space, gym.spaces.Discrete):
        return not 0 <= value - space.start < space.n
    given = np.asarray(value)
    if isinstance(space, gym.spaces.MultiDiscrete):
        from_zero = given - space.start
        return not ((from_zero >= 0) & (from_zero < space.nvec)).all()
    if not isinstance(space, gym.spaces.Box | gym.spaces.MultiBinary) or space.dtype.kind == "f":
        return False
    with np.errstate(invalid="ignore"):  # NaN is no whole number
        return given.dtype != space.dtype and bool((given != given.astype(space.dtype)).any())


def _takes(reset: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(reset).parameters
    return name in parameters or any(one.kind == one.VAR_KEYWORD for one in parameters.values())


@cache
def _say_unseeded(name: str) -> None:
    say(
        f"{name}: its reset takes no seed: a run repeats only if it draws from NumPy's or Python's own stream"
    )


@cache
def _say_open(name: str, why: str) -> None:
    say(f"{name}: cannot be closed: {why}")
