"""Scripted experts for robots: what each does follows from one observation. Meta-World brings its own.

The Fetch arm: an observation [28] is of gripper, object and goal (`zoo/environments/robots.py`); a Reach has
no object, and 13 numbers. An action is a direction within ±1, of which 1 is 5 cm, and the gripper: 1 opens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from catzoo.zoo.environments.meta_world import META_WORLD, scripted_policy

GAIN = 15.0
"""Of the controller: directions for a metre of distance."""
OPEN, CLOSED, STILL = 1.0, -1.0, 0.0
UP = np.array([0.0, 0.0, 1.0])
CUBE = 0.05
"""Its side, in metres."""
DT = 0.04
"""Seconds of a step; velocities are observed in metres a step."""
SPEED = 1.35
"""Metres a second with which the puck slides a metre; for d metres sqrt(d) times as much, as friction is."""

Expert = Callable[[np.ndarray], np.ndarray]
"""An observation [D] to an action [4], float32."""


def reach(observation: np.ndarray) -> np.ndarray:
    """Straight to the goal."""
    return _towards(observation[-3:], observation[:3], STILL)


def pick_and_place(observation: np.ndarray) -> np.ndarray:
    """Over the object, down, close, carry."""
    gripper, cube, goal = observation[:3], observation[3:6], observation[-3:]
    away, width = cube - gripper, observation[9:11].sum()
    if np.linalg.norm(away) < 0.015:
        held = width < CUBE + 0.005
        return _towards(goal if held else cube, gripper, CLOSED)
    distance = np.linalg.norm(away[:2])
    if distance > 0.02 and gripper[2] < cube[2] + 0.05:  # not through it
        return _towards(gripper + 0.1 * UP + 0.3 * _level(away), gripper, OPEN)
    return _towards(cube if distance < 0.015 else cube + 0.07 * UP, gripper, OPEN)


def push(observation: np.ndarray) -> np.ndarray:
    """Around the object, behind it, through it."""
    gripper, cube, goal = observation[:3], observation[3:6], observation[-3:]
    way, along, aside = _lie_of(gripper, cube, goal)
    if along > 0.02 and np.linalg.norm(aside) < 0.02 and gripper[2] < cube[2] + 0.02:
        return _towards(goal - 0.02 * way + 2 * aside, gripper, CLOSED)
    return _behind(cube, 0.08 * way, gripper)


def slide(observation: np.ndarray) -> np.ndarray:
    """Around the puck, behind it, and a push until it is as fast as the way is long; then hands off."""
    gripper, puck, goal = observation[:3], observation[3:6], observation[-3:]
    way, along, aside = _lie_of(gripper, puck, goal)
    wanted = SPEED * np.linalg.norm(_level(goal - puck)) ** 0.5
    speed = (observation[14:17] + observation[20:23]) @ way / DT
    if (speed > 0.1 and speed >= wanted) or np.linalg.norm(_level(puck - gripper)) > 0.25:
        return _towards(gripper - 0.03 * way, gripper, CLOSED)
    if along > 0.02 and np.linalg.norm(aside) < 0.02 and gripper[2] < puck[2] + 0.03:
        push = min(1.3 * wanted * DT / 0.05, 1.0) * way + 8 * aside
        return np.append(np.clip(push + GAIN * (puck - gripper) * UP, -1, 1), CLOSED).astype(np.float32)
    return _behind(puck, 0.14 * way, gripper)


def _level(vector: np.ndarray) -> np.ndarray:
    return vector * [1, 1, 0]


def _towards(place: np.ndarray, gripper: np.ndarray, fingers: float) -> np.ndarray:
    return np.append(np.clip(GAIN * (place - gripper), -1, 1), fingers).astype(np.float32)


def _lie_of(gripper: np.ndarray, thing: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """The way [3] that a thing has to go; how far behind it the gripper is, and how far beside [3]."""
    way = _level(goal - thing)
    way = way / (np.linalg.norm(way) + 1e-9)
    away = _level(thing - gripper)
    along = float(away @ way)
    return way, along, away - along * way


def _behind(thing: np.ndarray, way: np.ndarray, gripper: np.ndarray) -> np.ndarray:
    """The action to a place behind a thing: up and over it, if that is what stands between."""
    place = thing - way
    if np.linalg.norm((place - gripper)[:2]) < 0.02:
        return _towards(place, gripper, CLOSED)
    beside = np.linalg.norm(_level(thing - gripper)) < 0.12 and gripper[2] < thing[2] + 0.06
    return _towards(gripper + 0.1 * UP if beside else place + 0.09 * UP, gripper, CLOSED)


EXPERTS: dict[str, Expert] = {
    "FetchReach-v4": reach,
    "FetchPush-v4": push,
    "FetchPickAndPlace-v4": pick_and_place,
    "FetchSlide-v4": slide,
}
"""By environment."""


def expert_of(env: str) -> Expert:
    """The expert for an environment, of `EXPERTS` or of Meta-World; RecipeError where that is missing."""
    return scripted_policy(env) if env.startswith(META_WORLD) else EXPERTS[env]
