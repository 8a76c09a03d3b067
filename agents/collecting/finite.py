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
    if given.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(given.astype(np.float32, copy=False))
    if bad.any():
        place = tuple(np.argwhere(bad)[0])
        one = env if env.spec is not None else getattr(env, "envs", [env])[0]  # SyncVectorEnv has none itself
        name = type(one.unwrapped).__name__ if one.spec is None else one.spec.id
        raise FloatingPointError(
            f"{name}: {what} {given[place]} at step {steps[place[0]]:,}: must be a finite number that "
            "float32 can hold"
        )


def check_rollout(env: VectorEnv, arrays: dict[str, np.ndarray], frames: int) -> None:
    """`check_finite` of a rollout's rewards and observations [T, N, ...], begun after so many steps."""
    steps = frames + arrays["mask"].sum(axis=1).cumsum()
    check_finite(env, "reward", np.where(arrays["mask"], arrays["reward"], 0.0), steps)
    for name in ("next_observation", "observation"):  # it is seen first as the next one
        check_finite(env, "observation", arrays[name], steps)
