"""DeepMind Control (Tunyasuvunakool et al. 2020) as Gymnasium environments: `dmc/cheetah-run`.

Observations are flat float32. An action is held for `action_repeat` of the task's own steps, their rewards
summed. The task's time limit truncates; an end that it calls one (discount 0) terminates.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.mujoco import GL, heed_warnings

CHANGED = (
    "body_pos", "body_quat", "dof_damping", "geom_pos", "geom_rgba", "geom_size", "hfield_data", "light_pos",
    "site_pos", "site_rgba", "site_size", "wrap_prm",
)  # fmt: skip
"""What the suite's tasks write into their models when an episode begins: targets, terrain."""
OLDEST_MUJOCO = (3, 17)
SIDE = 480
"""Pixels of a frame."""


def register_dmc() -> None:
    """Registers the tasks of DeepMind Control.

    Raises:
        RecipeError: it is not installed, or beside a MuJoCo that it does not work with.
    """
    try:
        suite = _import_suite()
    except ImportError:
        raise RecipeError("DeepMind Control is not installed: pip install 'catzoo[dmc]'") from None
    for domain, task in suite.ALL_TASKS:
        name = f"dmc/{domain}-{task}"
        if name not in gym.registry:
            entry = f"{__name__}:{DMControl.__name__}"
            kwargs = {"domain": domain, "task": task}
            gym.register(name, entry_point=entry, disable_env_checker=True, kwargs=kwargs)


def _import_suite() -> Any:
    """`dm_control.suite`, which looks for a screen when it is imported, and warns where there is none."""
    try:
        version = importlib.metadata.version("mujoco")
    except importlib.metadata.PackageNotFoundError:
        raise ImportError("mujoco") from None
    parts = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if parts >= (4,):
        raise RecipeError(f"DeepMind Control does not work with mujoco {version}: pip install 'mujoco<4'")
    if parts < OLDEST_MUJOCO:
        raise RecipeError(
            f"DeepMind Control needs mujoco 3.17 or newer, and {version} is installed: pip install "
            "'catzoo[dmc]', beside the extra robots, which excludes it, in an environment of its own"
        )
    chosen = GL in os.environ
    os.environ.setdefault(GL, "disable")
    try:
        from dm_control import suite
    finally:
        if not chosen:  # what draws, later, is not dm_control
            del os.environ[GL]
    heed_warnings()
    return suite


class DMControl(gym.Env):
    """A task of DeepMind Control.

    Args:
        domain, task: of `dm_control.suite`.
        action_repeat: the task's own steps to an action.
        render_mode: `rgb_array`, or None.

    Raises:
        ValueError: an `action_repeat` below 1.
        FloatingPointError: in a step, the simulation diverged.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012, as gym.Env has it

    def __init__(
        self, domain: str, task: str, action_repeat: int = 2, render_mode: str | None = None
    ) -> None:
        if type(action_repeat) is not int or action_repeat < 1:
            raise ValueError(f"action_repeat={action_repeat!r:.80} must be a whole number of at least 1")
        self.name, self.action_repeat, self.render_mode = f"dmc/{domain}-{task}", action_repeat, render_mode
        # The seed is for models that are drawn at random too, so that each made anew is the same.
        self.control = _import_suite().load(domain, task, {"random": 0})
        kind = type(self.control.physics)
        # One task shows its new terrain to dm_control's own renderer, which then has to be there.
        self.control.physics.__class__ = type(kind.__name__, (kind,), {"contexts": None})
        actions = self.control.action_spec()
        low, high = (_unlimited(bound) for bound in (actions.minimum, actions.maximum))
        self.action_space = gym.spaces.Box(low, high, actions.shape, actions.dtype.type)
        size = sum(int(np.prod(part.shape)) for part in self.control.observation_spec().values())
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        fps = max(round(1 / (self.control.control_timestep() * action_repeat)), 1)
        self.metadata = {**self.metadata, "render_fps": fps}
        self.renderer: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """A new episode."""
        super().reset(seed=seed)
        if seed is not None:
            self.control.task.random.seed(seed % 2**32)
        if self.control.physics.model.nhfield:  # terrain is new, and copied when drawing begins
            self.close()
        return _flat(self.control.reset().observation), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """`action_repeat` steps of the task, or fewer at the episode's end."""
        from dm_control.rl.control import PhysicsError

        reward = 0.0
        for _ in range(self.action_repeat):
            try:
                now = self.control.step(action)
            except PhysicsError as error:
                raise FloatingPointError(f"{self.name}: the simulation diverged: {error}") from None
            reward += now.reward
            if now.last():
                break
        terminated = now.last() and now.discount == 0
        return _flat(now.observation), reward, terminated, now.last() and not terminated, {}

    def render(self) -> np.ndarray:
        """The picture of the task's first camera, drawn as Gymnasium draws its own MuJoCo."""
        from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer

        physics = self.control.physics
        if self.renderer is None:
            camera = 0 if physics.model.ncam else -1
            self.renderer = MujocoRenderer(
                physics.model.ptr, physics.data.ptr, width=SIDE, height=SIDE, camera_id=camera
            )
        return self.renderer.render(self.render_mode)

    def close(self) -> None:
        """Frees what draws."""
        if self.renderer is not None:
            self.renderer.close()
            self.renderer = None

    def state_dict(self) -> dict[str, Any]:
        """All that decides its future: physics, what the task wrote into the model, random stream, counts."""
        from catzoo.agents.collecting.physics import physics_state
        from catzoo.agents.collecting.simulators import random_state

        control, model = self.control, self.control.physics.model.ptr
        return {
            "physics": physics_state(control.physics.data.ptr),
            "model": {name: getattr(model, name).copy() for name in CHANGED},
            "random": random_state(control.task.random),
            "task": {name: value for name, value in vars(control.task).items() if _is_number(value)},
            "steps": control._step_count,
            "over": control._reset_next_step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken; ValueError if that was another task."""
        from catzoo.agents.collecting.physics import restore_physics
        from catzoo.agents.collecting.simulators import generator

        control, model = self.control, self.control.physics.model.ptr
        for name in CHANGED:
            getattr(model, name)[...] = state["model"][name]
        restore_physics(control.physics.data.ptr, state["physics"])
        control.task._random = generator(state["random"]["kind"], state["random"]["state"])
        own = vars(control.task)
        own.update({name: value for name, value in state["task"].items() if _is_number(own.get(name, value))})
        control._step_count, control._reset_next_step = state["steps"], state["over"]


def _flat(observation: Mapping[str, Any]) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in observation.values()]).astype(np.float32)


def _unlimited(bound: np.ndarray) -> np.ndarray:
    """1e10 is what the suite says where there is no bound."""
    return np.where(np.abs(bound) >= 1e10, np.copysign(np.inf, bound), bound)


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.generic)
