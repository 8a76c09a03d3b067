"""CQL's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from catzoo.hparams.components import DataPlaceConfig
from catzoo.hparams.recipe import ActionValues, Bootstrapping, Recipe
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class CQLRecipe(ActionValues, Bootstrapping, Recipe):
    """Conservative Q-learning from a dataset."""

    dataset: str | None = field(default=None, metadata={"longest": 4_000})
    """CQL: the dataset to learn from, the folder of one or of the run that recorded it; of several games
    one each, with + between them."""
    cql_weight: float = bounded(0.1, at_least=0)
    """CQL: weight of log-sum-exp Q(s, .) - Q(s, a) beside the TD loss."""
    cql_strength: float | None = bounded(None, at_least=0)
    """CQL: the same in units of value, alike for every loss; excludes cql_weight. See agents/cql.py."""
    bootstrap: Literal["max", "sarsa"] = "max"
    """CQL: the next action is the greedy one, or the data's own (offline SARSA)."""
    reward_noise: float = bounded(0.0, at_least=0)
    """CQL: eta; U(0, eta) is added to every reward of the dataset, once."""
    replay: DataPlaceConfig = field(default_factory=DataPlaceConfig)

    def __post_init__(self) -> None:
        if self.cql_strength is not None and self.cql_weight != type(self).cql_weight:
            raise RecipeError(
                f"cql_weight={self.cql_weight:g} and cql_strength={self.cql_strength:g} exclude each other: "
                "give one"
            )
