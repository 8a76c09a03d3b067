"""What studies of the rewards' scale share: an environment with multiplied rewards, arms, and a picture.

Their rows are labelled with `env`, `scale`, `loss`, `support` and `seed`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.environments.registry import find_spec
from catzoo.zoo.studies.study import Row, Study, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ID = f"{__name__}:ScaledRewards-v0"
"""Takes `env`, an id of Gymnasium's, and `scale`."""


def make(env: str, scale: float, **options: Any) -> gym.Env[Any, Any]:
    """The environment `env` under its protocol, with rewards times `scale`."""
    protocol = protocol_of(env, options)
    find_spec(protocol.env)  # some families are registered when they are asked for
    inner = gym.make(protocol.env, **protocol.settings)
    return gym.wrappers.TransformReward(inner, lambda reward: reward * scale)


gym.register("ScaledRewards-v0", entry_point=make)


def on_scale(recipe: Recipe, scale: float) -> Recipe:
    """A recipe on its environment with rewards times `scale`."""
    return dataclasses.replace(recipe, env=ID, env_options={"env": recipe.env, "scale": scale})


def check_scales(scales: Sequence[float]) -> None:
    """Refuses scales that are none, and those without 1, with which the others are compared.

    Raises:
        RecipeError: in one line.
    """
    if not all(0 < scale < math.inf for scale in scales):
        raise RecipeError(f"scales={list(scales)}: each must be above 0")
    if 1 not in scales:
        raise RecipeError(f"scales={list(scales)}: 1 must be among them, the others are compared with it")


def scale_tasks(study: Study) -> list[Task]:
    """Every environment, scale, loss and support of a study's settings; seeds outermost."""
    settings = study.settings
    return [
        Task({"env": env, "scale": scale, "loss": loss, "support": support, "seed": seed})
        for seed in study.seeds
        for env in settings.envs
        for scale in settings.scales
        for loss in settings.losses
        for support in settings.supports
    ]


def scale_picture(rows: Sequence[Row], title: str) -> Figure:
    """Returns over scales, a line for each loss, a panel for each environment, a row for each support."""
    from catzoo.zoo.studies.study_pictures import lines

    named = [{**row, "power": math.log10(float(row["scale"])),
              "what": f"return / scale, {row['support']}"} for row in rows]  # fmt: skip
    return lines(named, "power", "return", by="loss", panels="env", down="what", title=title,
                 xlabel="rewards times 10 to the power of")  # fmt: skip
