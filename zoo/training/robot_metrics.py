"""How often an agent succeeds with a robot, Fetch or Meta-World's: always from the same starts."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from catzoo.hparams import Recipe
from catzoo.zoo.environments.making import make_under, stream_seed
from catzoo.zoo.environments.protocols import protocol_of

STARTS = 100
AT_ONCE = 20
"""Starts that are played side by side."""


def metrics(
    agent: Any, recipe: Recipe, starts: int = STARTS, env: VectorEnv | None = None
) -> dict[str, float]:
    """`success`, the share of starts from which the task is done in time.

    `success_steps`: the mean number of steps of those. `data_success`: the same share in the dataset that it
    learned from, where that can be read. `env`: that of `make_starts`; None: one is made for this call.
    """
    protocol = protocol_of(recipe.env, recipe.env_options)
    if not protocol.name.startswith(("fetch", "metaworld")):  # other rewards, other ends
        return {}
    seeds = [stream_seed(0, f"start {number}") for number in range(starts)]
    made = contextlib.closing(make_starts(recipe, starts)) if env is None else contextlib.nullcontext(env)
    with made as env:
        steps = play(agent, env, seeds)
    won = steps > 0
    found = {"success": float(won.mean())}
    if won.any():
        found["success_steps"] = float(steps[won].mean())
    return found | data_success(recipe)


def make_starts(recipe: Recipe, starts: int = STARTS) -> VectorEnv:
    """Environments to play so many starts in, which takes a second or two for the Fetch arm."""
    return make_under(protocol_of(recipe.env, recipe.env_options), min(starts, AT_ONCE))


def play(agent: Any, env: VectorEnv, seeds: Sequence[int]) -> np.ndarray:
    """Steps [S] to the goal from each of S starts; 0 where it was not reached in time.

    Each environment takes the next start as soon as its last one has ended; there are no more environments
    than starts.
    """
    device, number = next(agent.network.parameters()).device, env.num_envs
    steps, waiting = np.zeros(len(seeds), np.int64), iter(range(number, len(seeds)))
    start, step, busy = np.arange(number), np.zeros(number, np.int64), np.ones(number, bool)
    observation, _ = env.reset(seed=list(seeds[:number]))
    while busy.any():
        step += 1
        action = agent.act(torch.from_numpy(observation).to(device)).cpu().numpy()
        observation, _, terminated, truncated, _ = env.step(action)
        over = (terminated | truncated) & busy
        steps[start[over & terminated]] = step[over & terminated]
        anew = np.zeros(number, bool)
        for index, following in zip(np.flatnonzero(over), waiting, strict=False):
            start[index], step[index], anew[index] = following, 0, True
        busy &= ~over | anew
        if anew.any():
            own = [int(seeds[which]) for which in start]
            observation, _ = env.reset(seed=own, options={"reset_mask": anew})
    return steps


def data_success(recipe: Recipe) -> dict[str, float]:
    """What the recipe's dataset says of itself; nothing without one."""
    from catzoo.agents.replay import Dataset, DatasetError

    if not getattr(recipe, "dataset", None):
        return {}
    try:
        success = Dataset(recipe.dataset).manifest.get("success")
    except DatasetError:  # of a run that came from elsewhere
        return {}
    return {"data_success": float(success)} if isinstance(success, int | float) else {}
