"""Environments by name, each under a named protocol that is stamped on every result.

* `ALE/*`: **atari-sticky** (Machado et al. 2018; Dopamine). Sticky actions 0.25, frame skip 4 with
  max-pooling, grey 84x84 stacks of 4, no loss-of-life termination, no no-op starts, minimal action set,
  at most 27,000 agent steps (108,000 frames), unclipped scores.
  With `repeat_action_probability=0`, as in Atari-100k: **atari-deterministic**.
* `MinAtar/*`: **minatar-sticky**. Sticky actions 0.1, difficulty ramping, minimal action set, at most
  27,000 steps.
* CartPole, Acrobot, MountainCar: **classic-control**. As Gymnasium registers them.
* the rest: **gymnasium**. As registered, with its own time limit.

Atari runs on ALE's C++ vector environment, everything else on `gymnasium.vector`.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from catzoo.hparams import RecipeError, nearest
from catzoo.zoo.games import canonical
from catzoo.zoo.machine import usable_cores

EPISODE_CAP = 27_000
"""Agent steps after which Atari and MinAtar episodes are truncated."""


@dataclass(frozen=True)
class Protocol:
    """What a score was measured under."""

    name: str
    env: str
    settings: dict[str, Any] = field(default_factory=dict)
    frames_per_step: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for a result file."""
        return asdict(self)


ATARI = {
    "repeat_action_probability": 0.25,
    "frameskip": 4,
    "maxpool": True,
    "grayscale": True,
    "img_height": 84,
    "img_width": 84,
    "stack_num": 4,
    "episodic_life": False,
    "noop_max": 0,
    "use_fire_reset": False,
    "full_action_space": False,
    "max_num_frames_per_episode": 4 * EPISODE_CAP,
    "reward_clipping": False,  # scores are unclipped; the agent clips for learning
}
DTYPES = tuple(
    np.dtype(name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
)
"""Of observations: what both NumPy and torch can index."""
CLASSIC_CONTROL = ("CartPole", "Acrobot", "MountainCar-")
MINATAR = {"sticky_action_prob": 0.1, "difficulty_ramping": True}


def protocol_of(env: str, options: dict[str, Any] | None = None) -> Protocol:
    """The protocol of an environment, with the recipe's options over its defaults."""
    env, options = canonical(env), options or {}
    if env.startswith("ALE/"):
        settings = {**ATARI, **options}
        sticky = settings["repeat_action_probability"] != 0
        name = "atari-sticky" if sticky else "atari-deterministic"
        return Protocol(name, env, settings, frames_per_step=settings["frameskip"])
    if env.startswith("MinAtar/"):
        return Protocol("minatar-sticky", env, {**MINATAR, "max_episode_steps": EPISODE_CAP, **options})
    return Protocol("classic-control" if env.startswith(CLASSIC_CONTROL) else "gymnasium", env, options)


def stream_seed(seed: int, purpose: str) -> int:
    """A seed for one use within a run, so that runs 0, 1, 2 … never share environments."""
    words = [seed, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1)[0] >> 2)  # ALE takes 31 bits


def make_env(env: str, num_envs: int, options: dict[str, Any] | None = None, **render: Any) -> VectorEnv:
    """A vector environment with a discrete action space and array observations.

    Args:
        env: any Gymnasium id, or `my_package:MyEnv-v0`, which imports `my_package` first.
        num_envs: how many to step together.
        options: constructor arguments over the protocol's.
        render: `render_mode`, for environments that draw themselves.

    Raises:
        RecipeError: unknown environment (with the nearest name), a missing extra, an option the
            constructor does not take, or spaces that a value-based agent cannot use.
    """
    protocol = protocol_of(env, options)
    if protocol.name.startswith("atari"):
        made = _make_atari(protocol, num_envs)
    else:
        made = _make_gymnasium(protocol, num_envs, render)
    problem = _problem(made.single_action_space, made.single_observation_space)
    if problem:
        made.close()
        raise RecipeError(f"{env}: {problem}")
    return made


def _problem(action: gym.Space, observation: gym.Space) -> str | None:
    """Why a value-based agent cannot use these spaces."""
    if not isinstance(action, gym.spaces.Discrete):
        return f"needs a discrete action space, but it has {action}"
    if action.start != 0:
        return f"needs actions that count from 0, but they count from {action.start}"
    if not isinstance(observation, gym.spaces.Box) or not observation.shape:
        return f"needs array observations, but it has {observation}"
    if observation.dtype not in DTYPES:
        return f"needs observations of {', '.join(map(str, DTYPES))}, but they are {observation.dtype}"
    return None


LARGEST_ATARI = {
    "img_height": 1024,
    "img_width": 1024,
    "stack_num": 64,
    "frame_skip": 1000,
    "num_threads": 1024,
}
"""Options that decide how much memory and how many threads are taken."""


def _make_atari(protocol: Protocol, num_envs: int) -> VectorEnv:
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
        raise RecipeError(f"{protocol.env}: env_options: {_short(error)}") from None
    return LostLives(made) if protocol.settings.get("life_loss_info") else made


class LostLives(VectorWrapper):
    """Makes ALE's `life_loss_info` usable: a lost life terminates an episode, and the game goes on.

    (Its `episodic_life` begins a new game instead, so that nothing behind the first life would be seen.) ALE
    leaves `final_obs` unwritten where the game goes on; there it is the observation itself, as
    `infos["goes_on"]` [N] says.
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self.frame = np.zeros(env.num_envs, np.int64)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observation, infos = self.env.reset(**kwargs)
        self.frame = infos["episode_frame_number"].astype(np.int64)
        return observation, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As the environment's, with `goes_on`."""
        observation, reward, terminated, truncated, infos = self.env.step(actions)
        frame = infos["episode_frame_number"].astype(np.int64)
        infos["goes_on"] = terminated & ~truncated & (frame > self.frame)
        self.frame = frame
        if infos["goes_on"].any():
            final = np.array(infos["final_obs"])
            final[infos["goes_on"]] = observation[infos["goes_on"]]
            infos["final_obs"] = final
        return observation, reward, terminated, truncated, infos


def _make_gymnasium(protocol: Protocol, num_envs: int, render: dict[str, Any]) -> VectorEnv:
    spec, options = find_spec(protocol.env), dict(protocol.settings)
    cap = options.pop("max_episode_steps", None)
    native = spec.vector_entry_point is not None and not options and cap is None and not render
    try:
        if native:
            return gym.make_vec(spec, num_envs, vectorization_mode="vector_entry_point")

        def one() -> gym.Env:
            single = gym.make(spec, max_episode_steps=cap, **render, **options)
            if not isinstance(single.observation_space, gym.spaces.Box):
                single = gym.wrappers.FlattenObservation(single)
            return single

        return gym.vector.SyncVectorEnv([one] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise RecipeError(f"{protocol.env}: needs a package that is missing: {_short(error)}") from None
    except Exception as error:  # whatever a constructor raises is about the id or its options
        raise RecipeError(f"{protocol.env}: cannot be made: {_short(error)}") from None


def find_spec(env: str) -> Any:
    """The registered specification behind a name, without making the environment.

    Raises:
        RecipeError: no such environment, with the nearest name.
    """
    env = canonical(env)
    if env.startswith("MinAtar/"):
        _register_minatar()
    if env.startswith("ALE/"):
        import ale_py

        gym.register_envs(ale_py)
    module, colon, name = env.rpartition(":")
    if colon:
        if os.getcwd() not in sys.path:  # a package beside you, as `python -m` would find it
            sys.path.append(os.getcwd())
        try:
            importlib.import_module(module)
        except (ImportError, ValueError, TypeError) as error:
            raise RecipeError(f"{env}: cannot import {module}: {_short(error)}") from None
    try:
        return gym.spec(name)
    except gym.error.Error as error:
        known = [key for key in gym.registry if key.startswith("ALE/") == env.startswith("ALE/")]
        hint = nearest(name, known)
        raise RecipeError(f"unknown environment {env}{hint or ': ' + _short(error)}") from None


def _register_minatar() -> None:
    try:
        from minatar.gym import register_envs
    except ImportError:
        raise RecipeError("MinAtar is not installed: pip install 'catzoo[minatar]' (GPL-3)") from None
    if "MinAtar/Breakout-v1" not in gym.registry:
        register_envs()


def _short(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
