"""What an environment may give: numbers that are finite in float32, which replay and networks work in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium.vector import VectorEnv


def check_finite(env: VectorEnv, what: str, given: np.ndarray, steps: Sequence[int]) -> None:
    """Refuses numbers that float32 cannot hold.

    Args:
        env: which gave them.
        what: they are, in one word.
        given: [T, N, ...].
        steps: [T], the agent steps made by then.

    Raises:
        FloatingPointError: names the environment, the first such number and its step.
    """
    place = _first_bad(given)
    if place is not None:
        raise FloatingPointError(
            f"{_name(env, place[1])}: {what} {given[place]} at step {steps[place[0]]:,}: must be a finite "
            "number that float32 can hold"
        )


def check_rollout(env: VectorEnv, arrays: dict[str, np.ndarray], frames: int) -> None:
    """`check_finite` of a rollout's rewards and observations [T, N, ...], begun after so many steps.

    Of several the first is told: a policy answers an observation of NaN with actions, and so rewards, of NaN.
    """
    steps = frames + arrays["mask"].sum(axis=1).cumsum()
    reward = np.where(arrays["mask"], arrays["reward"], 0.0)
    # An observation is seen first as the next one; that of a reset is before its step's reward.
    given = [arrays["observation"], reward, arrays["next_observation"]]
    places = map(_first_bad, given)
    bad = [(place[0], order) for order, place in enumerate(places) if place is not None]
    if bad:
        order = min(bad)[1]
        check_finite(env, "reward" if order == 1 else "observation", given[order], steps)


def _first_bad(given: np.ndarray) -> tuple[int, ...] | None:
    """Where in [T, N, ...] the first number is that float32 cannot hold."""
    if given.dtype.kind != "f":
        return None
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(given.astype(np.float32, copy=False))
    return tuple(np.argwhere(bad)[0]) if bad.any() else None


def _name(env: VectorEnv, number: int) -> str:
    """What one of the environments is called."""
    if names := getattr(env, "names", None):  # several games, which take turns
        return str(names[number % len(names)])
    one = env if env.spec is not None else getattr(env, "envs", [env])[0]  # SyncVectorEnv has none itself
    return type(one.unwrapped).__name__ if one.spec is None else str(one.spec.id)
