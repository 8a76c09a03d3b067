"""How often an agent reaches the goal with the Fetch arm: always from the same starts, whatever its seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from catzoo.hparams import Recipe
from catzoo.zoo.environments.making import make_under, stream_seed
from catzoo.zoo.environments.protocols import protocol_of

STARTS = 100
AT_ONCE = 20
"""Starts that are played side by side; each has seeds of its own."""


def metrics(agent: Any, recipe: Recipe) -> dict[str, float]:
    """`success`, the share of starts from which the goal is reached in time.

    `success_steps`: the mean number of steps of those. `data_success`: the same share in the dataset that it
    learned from, where that can be read.
    """
    protocol = protocol_of(recipe.env, recipe.env_options)
    if not protocol.name.startswith("fetch"):  # other rewards, other ends
        return {}
    env = make_under(protocol, AT_ONCE)
    try:
        seeds = [stream_seed(0, f"start {number}") for number in range(STARTS)]
        played = [play(agent, env, seeds[i : i + AT_ONCE]) for i in range(0, STARTS, AT_ONCE)]
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
