"""An environment whose rewards are another one's, multiplied."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

ID = f"{__name__}:ScaledRewards-v0"
"""Takes `env`, an id of Gymnasium's, and `scale`."""


def make(env: str, scale: float, **options: Any) -> gym.Env[Any, Any]:
    """The environment `env` with rewards times `scale`."""
    return gym.wrappers.TransformReward(gym.make(env, **options), lambda reward: reward * scale)


gym.register("ScaledRewards-v0", entry_point=make)
