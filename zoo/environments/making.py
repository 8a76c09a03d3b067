"""Environments by name, each under a named protocol that is stamped on every result.

* `ALE/*`: **atari-sticky** (Machado et al. 2018; Dopamine). Sticky actions 0.25, frame skip 4 with
  max-pooling, grey 84x84 stacks of 4, no loss-of-life termination, no no-op starts, minimal action set,
  at most 27,000 agent steps (108,000 frames), unclipped scores.
  With `repeat_action_probability=0`, as in Atari-100k: **atari-deterministic**. Variants,
  `ALE/*?mode=M&difficulty=D`, are under the same protocols, and scores of their own by their ids.
* `MinAtar/*`: **minatar-sticky**. Sticky actions 0.1, difficulty ramping, minimal action set, at most
  27,000 steps.
* CartPole, Acrobot, MountainCar, Pendulum: **classic-control**. As Gymnasium registers them.
* Gymnasium's MuJoCo tasks: **mujoco-v5** and **mujoco-v4**, whose rewards differ. As registered.
* `dmc/*`: **dmc**. DeepMind Control, every action held for two of its steps, its own time limit.
* `chess/*`: **chess**. Against a random mover or a skill level of Stockfish, whose version is part of it;
  each random opening of 4 plies with both colours, at most 400 plies.
* `FetchReach-v4`, `FetchPush-v4`, `FetchPickAndPlace-v4`, `FetchSlide-v4`: **fetch-50**. An episode ends at
  its first success, with the reward 1, or after 50 steps.
* `metaworld/*`: **metaworld-200**. The same after 200 steps.
* `wordle/*`: **wordle**. A letter a step, six guesses, the real game's colours.
* `GAME+GAME`: **many-games**. Each under its own protocol, with the actions of its whole family.
* the rest: **gymnasium**. As registered, with its own time limit.

Atari runs on ALE's C++ vector environment, its variants and everything else on `gymnasium.vector`. Where
actions are numbers within bounds, the agent's are within -1 and 1 everywhere.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.atari import make_atari
from catzoo.zoo.environments.many_games import ManyGames
from catzoo.zoo.environments.mujoco import DivergenceCheck, prepare_mujoco
from catzoo.zoo.environments.plain_env import plain
from catzoo.zoo.environments.protocols import MANY, Protocol, protocol_of, protocols_of_games
from catzoo.zoo.environments.registry import find_spec, in_short
from catzoo.zoo.environments.robots import make_fetch
from catzoo.zoo.environments.unit_actions import UnitActions, in_words, problem_of_box

DTYPES = tuple(
    np.dtype(name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
)
"""Of observations: what both NumPy and torch can index."""


def stream_seed(seed: int, purpose: str) -> int:
    """A seed for one use within a run, so that runs 0, 1, 2 … never share environments."""
    words = [seed, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1)[0] >> 2)  # ALE takes 31 bits


def make_env(env: str, num_envs: int, options: dict[str, Any] | None = None, **render: Any) -> VectorEnv:
    """A vector environment with array observations, and actions that are discrete or numbers within -1 and 1.

    Observations of float64 become float32.

    Args:
        env: any Gymnasium id, or `my_package:MyEnv-v0`, which imports `my_package` first.
        num_envs: how many to step together.
        options: constructor arguments over the protocol's.
        render: `render_mode`, for environments that draw themselves.

    Raises:
        RecipeError: unknown environment (with the nearest name), a missing extra, an option the
            constructor does not take, or spaces that no agent can use.
    """
    return make_under(protocol_of(env, options), num_envs, **render)


def make_under(protocol: Protocol, num_envs: int, **render: Any) -> VectorEnv:
    """As `make_env`, under a protocol that is known already."""
    if protocol.name == MANY:
        return _make_many(protocol, num_envs, render)
    if protocol.name.startswith("atari"):
        made = make_atari(protocol, num_envs, **render)
    else:
        made = _make_gymnasium(protocol, num_envs, render)
    problem = _problem(made.single_action_space, made.single_observation_space)
    if problem:
        made.close()
        raise RecipeError(f"{protocol.env}: {problem}")
    return UnitActions(made) if isinstance(made.single_action_space, gym.spaces.Box) else made


def _make_many(protocol: Protocol, num_envs: int, render: dict[str, Any]) -> VectorEnv:
    each = protocols_of_games(protocol)
    if num_envs < len(each):
        raise RecipeError(
            f"num_envs={num_envs}: {len(each)} games need an environment each: num_envs={len(each)}, or more"
        )
    parts: list[VectorEnv] = []
    try:
        for index, one in enumerate(each):
            share = (num_envs - index - 1) // len(each) + 1
            parts.append(make_under(one, share, **render))
            if parts[-1].metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
                parts.pop().close()
                parts.append(make_under(one, share, render_mode=None))  # one by one, and not its own vector
        return ManyGames(parts, [one.env for one in each])
    except RecipeError:
        for part in parts:
            part.close()
        raise


def _problem(action: gym.Space, observation: gym.Space) -> str | None:
    """Why no agent can use these spaces."""
    problem = _problem_of_actions(action)
    if problem:
        return problem
    if not isinstance(observation, gym.spaces.Box) or not observation.shape:
        return f"needs array observations, but it has {observation}"
    if observation.dtype not in DTYPES:
        return f"needs observations of {', '.join(map(str, DTYPES))}, but they are {observation.dtype}"
    return None


def _problem_of_actions(space: gym.Space) -> str | None:
    if isinstance(space, gym.spaces.Discrete):
        return (
            None
            if space.start == 0
            else f"needs actions that count from 0, but they count from {space.start}"
        )
    if isinstance(space, gym.spaces.Box):
        return problem_of_box(space)
    return f"needs actions that are discrete or a vector of bounded numbers, but it has {in_words(space)}"


def _make_one(spec: Any, cap: int | None, render: dict[str, Any], options: dict[str, Any]) -> gym.Env:
    return gym.make(spec, max_episode_steps=cap, **render, **options)


def _make_gymnasium(protocol: Protocol, num_envs: int, render: dict[str, Any]) -> VectorEnv:
    spec, options = find_spec(protocol.env), dict(protocol.settings)
    if protocol.name.startswith(("mujoco", "dmc", "fetch", "metaworld")):
        prepare_mujoco(drawing=bool(render.get("render_mode") or options.get("camera")))
    cap = options.pop("max_episode_steps", None)
    alone = spec.entry_point is None  # as a vector only
    native = spec.vector_entry_point and not options and not render and (cap is None or alone)
    try:
        if native:
            made = gym.make_vec(spec, num_envs, vectorization_mode="vector_entry_point")
            if isinstance(made.single_observation_space, gym.spaces.Box) or alone:
                return made
            made.close()  # only one by one are they flattened

        def one() -> gym.Env:
            make = make_fetch if protocol.name.startswith("fetch") else _make_one
            made = make(spec, cap, render, dict(options))
            return plain(DivergenceCheck(made) if protocol.name.startswith("mujoco") else made)

        return gym.vector.SyncVectorEnv([one] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        missing = in_short(error)
        if missing.startswith("Box2D"):
            missing = "Box2D is not installed: pip install 'catzoo[box2d]'"
        if "v2 and v3" in missing and spec.name:  # of MuJoCo, which Gymnasium no longer has
            raise RecipeError(f"{protocol.env}: is no longer there; did you mean {spec.name}-v5?") from None
        raise RecipeError(f"{protocol.env}: needs a package that is missing: {missing}") from None
    except (Exception, SystemExit) as error:  # whatever a constructor raises is about the id or its options
        raise RecipeError(f"{protocol.env}: cannot be made: {in_short(error)}") from None
