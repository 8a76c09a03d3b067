"""Recipes that earlier versions wrote, in today's keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catzoo.hparams.overrides import merge
from catzoo.hparams.schema import RecipeError, shown

FORMAT = 3
"""Of a run's recipe.yaml: 2 has the agent's own keys, 3 says where values begin (`initial_value`)."""
_PLAYED = ("dataset", "cql_weight", "bootstrap", "reward_noise")
UNUSED: dict[str, tuple[str, ...]] = {
    "dqn": ("q_lambda", "epochs", *_PLAYED),
    "rainbow": ("q_lambda", "epochs", *_PLAYED),
    "pqn": (
        "double", "n_step", "learning_starts", "updates_per_step", "target_update_every", "replay",
        "random_shift", "reset_every", "reset_keep", *_PLAYED,
    ),
    "cql": (
        "q_lambda", "epochs", "n_step", "num_envs", "rollout_length", "learning_starts", "updates_per_step",
        "exploration", "life_loss_ends", "record", "replay.capacity", "replay.store", "replay.prioritized",
        "replay.alpha", "replay.beta", "compute.overlap",
    ),
}  # fmt: skip
"""Format 1 had every agent's keys in each recipe; what it had no use for. Later agents have no row."""
LATER: dict[str, Any] = {"initial_value": None, "network": {"pixels": True}}
"""Keys that earlier formats had not, with the values that mean what was done then."""


def upgraded(values: Mapping[str, Any], found: Any, where: str) -> dict[str, Any]:
    """A recipe's nested keys as this version has them.

    Args:
        values: as they were written.
        found: the format that they say they are of.
        where: what to call the source in an error.

    Raises:
        RecipeError: a format that this version does not read.
    """
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise RecipeError(f"{where}: run format {shown(found)}, this version reads 1 to {FORMAT}")
    if found == 1:
        agent = values.get("agent")
        values = _without(values, UNUSED.get(agent, ()) if isinstance(agent, str) else ())
    return dict(values) if found == FORMAT else merge(LATER, values)


def _without(values: Mapping[str, Any], unused: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    """Nested values without some dotted keys."""
    return {
        key: _without(value, unused, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in values.items()
        if f"{prefix}{key}" not in unused
    }
