"""The Fetch arm of Gymnasium-Robotics (Plappert et al. 2018, arXiv 1802.09464): `FetchReach-v4` and its like.

An observation is the robot's and the goal's numbers in one vector, float32; what is achieved by now is among
the robot's. With the option `camera=64` it is a picture of 64 x 64 pixels, in which the goal is a red dot. An
episode ends where the goal is reached, with the reward 1; every other reward is 0, and 50 steps truncate. So
a return is 1 or 0, and a mean return the rate of success. (Gymnasium-Robotics itself goes on after a
success, with -1 for every step away from the goal.)
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
from typing import Any

import gymnasium as gym
import numpy as np

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.mujoco import heed_warnings

NEWEST_MUJOCO = (3, 10)
"""Beside a newer one Gymnasium-Robotics 1.4.2 fails in an assertion without words."""
LEAST, MOST = 36, 480
"""Pixels of a camera's side: what the networks of images take, and what MuJoCo draws."""
PARTS = ("observation", "desired_goal")


def register_robots() -> None:
    """Registers the tasks of Gymnasium-Robotics.

    Raises:
        RecipeError: it is not installed, or beside a MuJoCo that it does not work with.
    """
    try:
        version = importlib.metadata.version("mujoco")
        if tuple(map(int, version.split(".")[:2])) > NEWEST_MUJOCO:
            raise RecipeError(
                f"Gymnasium-Robotics needs mujoco 3.10 or older, and {version} is installed: the extras "
                "robots and dmc exclude each other, pip install 'catzoo[robots]' in an environment of its own"
            )
        heed_warnings()
        with contextlib.redirect_stderr(io.StringIO()):  # it has news of other tasks to tell
            import gymnasium_robotics
    except (ImportError, importlib.metadata.PackageNotFoundError):
        raise RecipeError("Gymnasium-Robotics is not installed: pip install 'catzoo[robots]'") from None
    gym.register_envs(gymnasium_robotics)


class UntilSuccess(gym.Wrapper):
    """A task of the Fetch arm that ends with a success, its observation one vector, or a picture.

    Args:
        env: as Gymnasium-Robotics has it; it draws itself where there is a camera.
        camera: whether to observe what it draws, uint8 [height, width, 3].
    """

    stateless = True
    """A checkpoint of the environment passes it by."""

    def __init__(self, env: gym.Env, *, camera: bool = False) -> None:
        super().__init__(env)
        self.camera = camera
        size = sum(int(np.prod(env.observation_space[part].shape)) for part in PARTS)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        if camera:
            drawn = (env.unwrapped.height, env.unwrapped.width, 3)  # type: ignore[attr-defined]
            self.observation_space = gym.spaces.Box(0, 255, drawn, np.uint8)
        self.numbers: np.ndarray | None = None
        """What a camera does not tell an expert: the vector."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """A new start and a new goal."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """A 25th of a second; the reward is 1 at the goal, which ends the episode, and 0 elsewhere."""
        observation, _, _, truncated, info = self.env.step(action)
        success = bool(info["is_success"])
        return self._seen(observation), float(success), success, bool(truncated) and not success, info

    def _seen(self, observation: Any) -> np.ndarray:
        self.numbers = np.concatenate([observation[part] for part in PARTS]).astype(np.float32)
        return np.array(self.env.render()) if self.camera else self.numbers


def make_fetch(spec: Any, cap: int | None, render: dict[str, Any], options: dict[str, Any]) -> gym.Env:
    """A task of the Fetch arm; of its options `camera` is the side of the pictures, in pixels, and ours."""
    camera = options.pop("camera", None)
    if camera is None:
        return UntilSuccess(gym.make(spec, max_episode_steps=cap, **render, **options))
    if type(camera) is not int or not LEAST <= camera <= MOST:
        raise ValueError(f"camera={camera}: must be a number of pixels from {LEAST} to {MOST}")
    drawing = {"render_mode": "rgb_array", "width": camera, "height": camera}
    return UntilSuccess(gym.make(spec, max_episode_steps=cap, **drawing, **options), camera=True)
