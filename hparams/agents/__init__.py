"""The recipe classes of the agents, by name, and how plain data becomes one of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from catzoo.hparams.agents.chess import ChessRecipe
from catzoo.hparams.agents.cql import CQLRecipe
from catzoo.hparams.agents.dqn import DQNRecipe
from catzoo.hparams.agents.impala import IMPALARecipe
from catzoo.hparams.agents.ppo import PPORecipe
from catzoo.hparams.agents.pqn import PQNRecipe
from catzoo.hparams.agents.q_transformer import QTransformerRecipe
from catzoo.hparams.agents.sac import SACRecipe
from catzoo.hparams.agents.td3 import TD3Recipe
from catzoo.hparams.agents.wordle import WordleRecipe
from catzoo.hparams.recipe import Recipe
from catzoo.hparams.schema import RecipeError, build, keys_of, nearest, shown

RECIPES: dict[str, type[Recipe]] = {
    "dqn": DQNRecipe,
    "rainbow": DQNRecipe,
    "pqn": PQNRecipe,
    "cql": CQLRecipe,
    "sac": SACRecipe,
    "td3": TD3Recipe,
    "ppo": PPORecipe,
    "impala": IMPALARecipe,
    "chess": ChessRecipe,
    "q_transformer": QTransformerRecipe,
    "wordle": WordleRecipe,
}
"""What class each agent's recipe is of. The agents' own classes are in `catzoo.agents.registry`."""


def recipe_class(agent: Any, where: str) -> type[Recipe]:
    """The class of an agent's recipe.

    Raises:
        RecipeError: no such agent.
    """
    if not isinstance(agent, str) or agent not in RECIPES:
        hint = nearest(agent, RECIPES) if isinstance(agent, str) else ""
        raise RecipeError(f"unknown agent {shown(agent)} ({where}): known are {', '.join(RECIPES)}{hint}")
    return RECIPES[agent]


def all_keys() -> list[str]:
    """Every dotted key that some agent has."""
    return list(dict.fromkeys(key for schema in RECIPES.values() for key in keys_of(schema)))


def agents_with(key: str) -> list[str]:
    """The agents that have a dotted key, or a group of keys of that name."""
    return _owners().get(key, [])


@cache
def _owners() -> dict[str, list[str]]:
    """The agents that have each key, and each group of keys."""
    owners: dict[str, list[str]] = {}
    for agent, schema in RECIPES.items():
        keys = keys_of(schema)
        for name in dict.fromkeys([*keys, *(key.partition(".")[0] for key in keys)]):
            owners.setdefault(name, []).append(agent)
    return owners


def refuse_other_agents_keys(values: Mapping[str, Any], agent: str, where: str, prefix: str = "") -> None:
    """Refuses keys that some agents have, and this one has not.

    Args:
        values: nested, as a recipe has them; what no agent knows is left to `build`.
        agent: in `RECIPES`.
        where: what to call the source in an error.
        prefix: of the keys of `values`.

    Raises:
        RecipeError: names the key, and whose it is.
    """
    for key, value in values.items():
        if not isinstance(key, str):
            raise RecipeError(f"{prefix}{shown(key)}: a key must be a name ({where})")
        owners = agents_with(prefix + key)
        if owners and agent not in owners:
            raise RecipeError(
                f"{prefix}{key} does not apply to {agent}, but to {', '.join(owners)} ({where})"
            )
        if owners and isinstance(value, Mapping):
            refuse_other_agents_keys(value, agent, where, f"{prefix}{key}.")


def build_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """The recipe of the agent that `values` names.

    Args:
        values: nested, as `Recipe.to_dict` gives them; what is missing takes the default.
        where: what to call the source in an error.

    Raises:
        RecipeError: an unknown agent, another agent's key, or whatever `build` refuses.
    """
    agent = values.get("agent", Recipe.agent)
    schema = recipe_class(agent, where)
    refuse_other_agents_keys(values, agent, where)
    return build(schema, values, where=where)
