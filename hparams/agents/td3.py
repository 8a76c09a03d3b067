"""TD3's recipe."""

from __future__ import annotations

from dataclasses import dataclass

from catzoo.hparams.agents.ensemble_critics import EnsembleCriticsRecipe
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class TD3Recipe(EnsembleCriticsRecipe):
    """Twin delayed deterministic policy gradient: continuous actions from replay."""

    noise: float = bounded(0.1, at_least=0, at_most=10)
    """TD3: standard deviation of the noise that explores, of actions in ±1."""
    least_noise: float | None = bounded(None, above=0, at_most=10)
    """TD3: the same in the last environment, evenly between for those before it; null: `noise`."""
    smoothing: float = bounded(0.2, at_least=0, at_most=10)
    """TD3: standard deviation of the noise on the target's action."""
    smoothing_clip: float = bounded(0.5, at_least=0, at_most=10)
    """TD3: how far that noise reaches at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least_noise is not None and self.least_noise > self.noise:
            raise RecipeError(f"least_noise={self.least_noise:g} must not be above noise={self.noise:g}")
        if self.least_noise is not None and self.num_envs == 1:
            raise RecipeError(f"least_noise={self.least_noise:g} needs num_envs of 2 or more: one has noise")
