"""How often an agent succeeds with a robot, Fetch or Meta-World's: always from the same starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from catzoo.hparams import Recipe
from catzoo.zoo.environments.making import make_under, stream_seed
from catzoo.zoo.environments.protocols import protocol_of

STARTS = 100
AT_ONCE = 20
"""Starts that are played side by side."""


def metrics(agent: Any, recipe: Recipe, starts: int = STARTS) -> dict[str, float]:
    """`success`, the share of starts from which the task is done in time.

    `success_steps`: the mean number of steps of those. `data_success`: the same share in the dataset that it
    learned from, where that can be read. `starts`: at most 20, or a multiple of it.
    """
    protocol = protocol_of(recipe.env, recipe.env_options)
    if not protocol.name.startswith(("fetch", "metaworld")):  # other rewards, other ends
        return {}
    side_by_side = min(starts, AT_ONCE)
    env = make_under(protocol, side_by_side)
    try:
        seeds = [stream_seed(0, f"start {number}") for number in range(starts)]
        played = [play(agent, env, seeds[i : i + side_by_side]) for i in range(0, starts, side_by_side)]
    finally:
        env.close()
    steps = np.concatenate(played)
    won = steps > 0
    found = {"success": float(won.mean())}
    if won.any():
        found["success_steps"] = float(steps[won].mean())
    return found | data_success(recipe)


def play(agent: Any, env: Any, seeds: list[int]) -> np.ndarray:
    """Steps [N] to the goal from each of N starts; 0 where it was not reached in time."""
    device = next(agent.network.parameters()).device
    observation, _ = env.reset(seed=seeds)
    steps, over, step = np.zeros(len(seeds), np.int64), np.zeros(len(seeds), bool), 0
    while not over.all():
        step += 1
        action = agent.act(torch.from_numpy(observation).to(device)).cpu().numpy()
        observation, _, terminated, truncated, _ = env.step(action)
        steps[terminated & ~over] = step
        over |= terminated | truncated
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
