"""SAC's recipe."""

from __future__ import annotations

from dataclasses import dataclass

from catzoo.hparams.agents.ensemble_critics import EnsembleCriticsRecipe
from catzoo.hparams.schema import bounded


@dataclass(frozen=True, kw_only=True)
class SACRecipe(EnsembleCriticsRecipe):
    """Soft actor-critic: continuous actions from replay, as random as is worth it."""

    alpha: float = bounded(0.01, above=0, at_most=1e6)
    """SAC: the temperature to begin with; 1 fits rewards that are not scaled."""
    target_entropy: float | None = bounded(None, at_least=-1e6, at_most=1e6)
    """SAC: nats that the temperature aims at, of actions in ±1; null: -1 for each number, as in the paper."""
