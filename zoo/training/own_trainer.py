"""`lightning_agent`: an agent of the zoo in a Lightning trainer that is not ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from catzoo.hparams import RecipeError
from catzoo.zoo.folders.recipe_sources import Source
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from catzoo.agents import LightningAgent


def lightning_agent(
    agent: str | None = None,
    env: str | None = None,
    *,
    source: Source | None = None,
    loss: str | None = None,
    preset: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    overrides: Iterable[str | Mapping[str, Any]] = (),
) -> LightningAgent:
    """An agent of the zoo as a LightningModule, with its environments and its replay, ready to be fitted.

    `lightning.pytorch.Trainer(...).fit(module)` trains it until its steps are made, to the weights that
    `train` comes to, if nothing else draws from torch's random stream: that is seeded here. What is written
    is the trainer's affair: there is no run folder, and nothing to go on from.

    Args:
        agent, env, source, loss, preset, steps, seed, overrides: see `train`.

    Returns:
        The module; `module.agent` is the agent, `module.work` what trains it, `module.work.recipe` its
        recipe. `module.work.close()` closes the environments.

    Raises:
        RecipeError: anything wrong with what was asked for, or it needs a run folder or several processes.
    """
    recipe = recipe_of(
        agent, env, source=source, loss=loss, preset=preset, steps=steps, seed=seed, overrides=overrides
    )
    if recipe.compute.devices > 1:
        raise RecipeError(
            f"compute.devices={recipe.compute.devices}: a trainer of your own has one; catzoo.train has many"
        )
    if getattr(recipe, "record", 0.0):
        raise RecipeError(f"record={recipe.record} needs a run folder, which catzoo.train makes")
    from catzoo.agents import LightningAgent
    from catzoo.zoo.training.build import build_trainer

    return LightningAgent(build_trainer(recipe))
