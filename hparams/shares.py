"""A run of many learners: what of its recipe is each one's."""

from __future__ import annotations

import dataclasses
from typing import Any

from catzoo.hparams.recipe import Playing, Recipe, Replaying
from catzoo.hparams.schema import RecipeError


def share_of(recipe: Recipe) -> Recipe:
    """The recipe of one of `compute.devices` learners, which share batches, environments and replay evenly.

    Steps are counted together, and so everything that goes by steps stays as it is.

    Raises:
        RecipeError: something that cannot be shared so.
    """
    devices = recipe.compute.devices
    if devices == 1:
        if recipe.compute.launcher != "own":
            raise RecipeError(
                f"compute.launcher={recipe.compute.launcher} goes with many learners: compute.devices=N"
            )
        return recipe
    for key, wrong in (
        ("compute.cuda_graph=true", recipe.compute.cuda_graph),
        ("record", getattr(recipe, "record", 0)),
    ):
        if wrong:
            raise RecipeError(f"{key} does not go with many learners: compute.devices={devices}")
    changes: dict[str, Any] = {"batch_size": _share("batch_size", recipe.batch_size, devices)}
    if isinstance(recipe, Playing):
        changes["num_envs"] = _share("num_envs", recipe.num_envs, devices)
    if isinstance(recipe, Replaying):
        capacity = _share("replay.capacity", recipe.replay.capacity, devices)
        changes["replay"] = dataclasses.replace(recipe.replay, capacity=capacity)
    return dataclasses.replace(recipe, **changes)


def _share(key: str, whole: int, devices: int) -> int:
    if whole % devices:
        raise RecipeError(f"{key}={whole} cannot be shared evenly by compute.devices={devices} learners")
    return whole // devices
