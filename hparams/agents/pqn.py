"""PQN's recipe."""

from __future__ import annotations

from dataclasses import dataclass

from catzoo.hparams.recipe import ActionValues, Exploring, Recipe
from catzoo.hparams.schema import bounded


@dataclass(frozen=True, kw_only=True)
class PQNRecipe(ActionValues, Exploring, Recipe):
    """Q-learning from whole rollouts."""

    q_lambda: float = bounded(0.65, at_least=0, at_most=1)
    """PQN: the lambda of its Q(lambda) returns."""
    epochs: int = bounded(2, at_least=1, at_most=1_000)
    """PQN: passes over every rollout."""
