"""CQL's recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catzoo.hparams.agents.from_dataset import Conservative
from catzoo.hparams.recipe import ActionValues, Bootstrapping, Recipe
from catzoo.hparams.schema import bounded


@dataclass(frozen=True, kw_only=True)
class CQLRecipe(Conservative, ActionValues, Bootstrapping, Recipe):
    """Conservative Q-learning from a dataset."""

    bootstrap: Literal["max", "sarsa"] = "max"
    """CQL: the next action is the greedy one, or the data's own (offline SARSA)."""
    reward_noise: float = bounded(0.0, at_least=0)
    """CQL: eta; U(0, eta) is added to every reward of the dataset, once."""
