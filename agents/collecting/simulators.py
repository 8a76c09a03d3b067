"""The state of environments that keep it in Python or MuJoCo, so that a continued run goes on in mid-episode.

What is saved is data: numbers, strings, arrays, and the position of random streams, by attribute, from
environments whose code is known to hold nothing else (`KNOWN`). Reading it back sets attributes of an
environment made anew, and runs nothing. MuJoCo tells its own (`physics.py`). An environment of yours takes
part by `state_dict()`, of such data, and `load_state_dict(state)`, as DeepMind Control and the variants of
Atari's games do. All others, Atari's C++ vector environment among them, cannot be saved; a continued run then
begins new episodes.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from catzoo.agents.collecting.physics import is_physics, physics_state, restore_physics
from catzoo.hparams import RecipeError

KNOWN = (
    "gymnasium.envs.classic_control.",
    "gymnasium.envs.mujoco.",
    "gymnasium.vector.sync_vector_env",
    "gymnasium.wrappers.common",
    "gymnasium.wrappers.transform_reward",
    "gymnasium_robotics.envs.fetch.",
    "minatar.",
)
"""Modules of environments, wrappers and games whose attributes are their whole state."""
CONSTANT = (gym.Space, EnvSpec, ModuleType, enum.Enum, Callable)
"""What is the same in an environment made anew, and not saved."""
CONSTANT_NAMES = (
    "mujoco._structs.MjModel",
    "gymnasium.envs.mujoco.mujoco_rendering.MujocoRenderer",
    "gymnasium_robotics.utils.mujoco_utils.MujocoModelNames",
)
"""The same, of packages that may be missing; Gymnasium's tasks change nothing in their models."""
GENERATOR, STATE = "random generator", "state"


class UnknownStateError(Exception):
    """An environment whose state cannot be told."""


def simulator_state(env: VectorEnv) -> dict[str, Any] | None:
    """Everything that decides an environment's future, as nested plain data; None if that cannot be told."""
    try:
        return {path: dict(_attributes(thing)) for path, thing in _parts(env)}
    except UnknownStateError:
        return None


def check_own_states(env: VectorEnv) -> None:
    """Looks whether what an environment gives as its own `state_dict()` can be saved, before it has to be.

    Raises:
        RecipeError: it cannot; names the environment's class and the entry.
    """
    from catzoo.agents.checkpoints.state_files import check_state  # which imports what collects

    with contextlib.suppress(UnknownStateError):
        for _, thing in _parts(env):
            if not _saves_itself(thing):
                continue
            state = thing.state_dict()
            for key, value in state.items() if isinstance(state, Mapping) else [("all", state)]:
                try:
                    check_state(value)
                except TypeError as error:
                    where = f"{type(thing).__name__}.state_dict()[{key!r}]"
                    raise RecipeError(
                        f"{where}: {error}; of a random generator give bit_generator.state"
                    ) from None


def restore_simulator(env: VectorEnv, state: Mapping[str, Any]) -> None:
    """Puts an environment, made with the same arguments, where `simulator_state` was taken.

    Raises:
        ValueError: a state of another environment.
    """
    parts = dict(_parts(env))
    if parts.keys() != state.keys():
        raise ValueError("the saved environments are of another kind")
    shared: dict[str, Any] = {}
    for path, attributes in state.items():
        thing = parts[path]
        if is_physics(thing):
            restore_physics(thing, attributes)
            continue
        if _saves_itself(thing):
            thing.load_state_dict(attributes[STATE])
            continue
        for name, value in attributes.items():
            if name.startswith("__") or callable(getattr(type(thing), name, None)):
                raise ValueError(f"the saved environments have a state of {name!r:.80}, which is code")
            restored = _restored(value, shared)
            if isinstance(restored, dict):  # with constants that were not saved
                restored = {**{k: v for k, v in _dict_of(thing, name).items() if _is_constant(v)}, **restored}
            setattr(thing, name, restored)


def _parts(env: VectorEnv) -> Iterator[tuple[str, Any]]:
    """An environment and all that it is made of, each once, by a path of attributes."""
    waiting, seen = [("", env)], set()
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if getattr(type(thing), "stateless", False):  # a wrapper; the path is that of what it wraps
            waiting.append((path, thing.env))
            continue
        if not _saves_itself(thing) and not is_physics(thing):
            if not f"{type(thing).__module__}.".startswith(KNOWN):
                raise UnknownStateError(f"{type(thing).__module__}.{type(thing).__name__}")
            for name, value in vars(thing).items():
                inner = value if isinstance(value, list | tuple) else [value]
                waiting += [(f"{path}.{name}.{i}", item) for i, item in enumerate(inner) if _is_part(item)]
        yield path, thing


def _saves_itself(thing: Any) -> bool:
    return hasattr(type(thing), "state_dict") and hasattr(type(thing), "load_state_dict")


def _dict_of(thing: Any, name: str) -> dict[Any, Any]:
    there = vars(thing).get(name)
    return there if isinstance(there, dict) else {}


def _is_constant(value: Any) -> bool:
    kind = type(value)
    return isinstance(value, CONSTANT) or f"{kind.__module__}.{kind.__qualname__}" in CONSTANT_NAMES


def _is_part(value: Any) -> bool:
    """Whether a value is an object with a state of its own."""
    if is_physics(value):
        return True
    return hasattr(value, "__dict__") and not (_is_constant(value) or isinstance(value, np.random.Generator))


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """What to save of one part."""
    if is_physics(thing):
        yield from physics_state(thing).items()
        return
    if _saves_itself(thing):
        yield STATE, thing.state_dict()
        return
    for name, value in vars(thing).items():
        inner = value if isinstance(value, list | tuple) else [value]
        if _is_constant(value) or any(_is_part(item) or _is_constant(item) for item in inner):
            continue
        yield name, _plain(value)


def _plain(value: Any) -> Any:
    """A value as nested plain data; UnknownStateError if it is something else."""
    if isinstance(value, np.ndarray):
        return value.copy()  # the environment goes on writing into its own
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return value
    if isinstance(value, np.random.Generator):
        return {GENERATOR: id(value), "kind": "Generator", STATE: value.bit_generator.state}
    if isinstance(value, np.random.RandomState):
        return random_state(value)
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, Mapping):
        # A constant inside, such as an autoreset mode, is in the new environment too.
        return {key: _plain(item) for key, item in value.items() if not _is_constant(item)}
    raise UnknownStateError(type(value).__name__)


def _restored(value: Any, shared: dict[int, Any]) -> Any:
    """A value from plain data; random streams that were one object are one again."""
    if isinstance(value, Mapping) and GENERATOR in value:
        key = value[GENERATOR]
        if key not in shared:
            shared[key] = generator(value["kind"], value[STATE])
        return shared[key]
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | tuple):
        return type(value)(_restored(item, shared) for item in value)
    return value


def check_mersenne_twister(key: Any, position: Any) -> None:
    """ValueError for what cannot be MT19937's state: NumPy takes any position, and reads what lies there."""
    if len(key) != 624 or type(position) is not int or not 0 <= position <= 624:
        raise ValueError("the saved state of NumPy's random stream cannot be one")


def random_state(value: np.random.RandomState) -> dict[str, Any]:
    """A random stream of NumPy's older kind as plain data, which `generator` makes one of."""
    return {GENERATOR: id(value), "kind": "RandomState", STATE: value.get_state(legacy=False)}


def generator(kind: str, state: Mapping[str, Any]) -> Any:
    """A random stream in a saved state; ValueError if that cannot be one's."""
    if kind == "RandomState":
        check_mersenne_twister(state["state"]["key"], state["state"]["pos"])
        random = np.random.RandomState()
        random.set_state(state)
        return random
    if state["bit_generator"] != "PCG64":
        raise ValueError(f"random streams of kind {state['bit_generator']} are not known")
    made = np.random.Generator(np.random.PCG64())
    made.bit_generator.state = state
    return made
