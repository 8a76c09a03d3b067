"""Keys of agents that learn from a dataset, and play nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from catzoo.hparams.components import DataPlaceConfig
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class FromDataset:
    """Agents that learn from a dataset."""

    dataset: str | None = field(default=None, metadata={"longest": 4_000})
    """The dataset to learn from, the folder of one or of the run that recorded it; of several games one
    each, with + between them."""
    replay: DataPlaceConfig = field(default_factory=DataPlaceConfig)


@dataclass(frozen=True, kw_only=True)
class Conservative(FromDataset):
    """Those that hold back the values of what the data does not do (arXiv 2006.04779)."""

    cql_weight: float = bounded(0.1, at_least=0)
    """Weight of log-sum-exp Q(s, .) - Q(s, a) beside the TD loss."""
    cql_strength: float | None = bounded(None, at_least=0)
    """The same in units of value, alike for every loss; excludes cql_weight. See agents/cql.py."""

    def __post_init__(self) -> None:
        if self.cql_strength is not None and self.cql_weight != type(self).cql_weight:
            raise RecipeError(
                f"cql_weight={self.cql_weight:g} and cql_strength={self.cql_strength:g} exclude each other: "
                "give one"
            )


def refuse_reward_clip(recipe: Any) -> None:
    """Refuses a clip that would change nothing.

    Raises:
        RecipeError: there is one.
    """
    if recipe.reward_clip:
        raise RecipeError(f"reward_clip does not go with {recipe.agent}, whose returns are the data's")
