"""SAC's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from catzoo.hparams.components import ActorOptimizerConfig, ObservingNormalizeConfig
from catzoo.hparams.recipe import ADAPTIVE, Playing, Recipe, Replaying
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class SACRecipe(Replaying, Playing, Recipe):
    """Soft actor-critic: continuous actions from replay."""

    num_critics: int = bounded(2, at_least=1, at_most=100)
    """SAC: critics in the ensemble."""
    pool: Literal["min", "mean"] = "min"
    """SAC: the target is the lowest critic's, or the mean of all."""
    tau: float = bounded(0.005, above=0, at_most=1)
    """SAC: how far the target critics follow at every update."""
    policy_delay: int = bounded(1, at_least=1, at_most=1_000)
    """SAC: updates of the critics to one of policy and temperature."""
    alpha: float = bounded(0.01, above=0, at_most=1e6)
    """SAC: the temperature to begin with; 1 fits rewards that are not scaled."""
    target_entropy: float | None = bounded(None, at_least=-1e6, at_most=1e6)
    """SAC: nats that the temperature aims at, of actions in ±1; null: -1 for each number, as in the paper."""
    normalize: ObservingNormalizeConfig = field(default_factory=ObservingNormalizeConfig)
    optimizer: ActorOptimizerConfig = field(default_factory=ActorOptimizerConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.support == ADAPTIVE:
            raise RecipeError("support=adaptive does not go with sac: support=auto fits any rewards")
        if self.record:
            raise RecipeError(f"record={self.record:g} does not go with sac: no agent learns from that yet")
        names = {"name": ("auto", "mlp"), "experts": (0,), "width": (1.0,), "pixels": (None,)}
        for key, kept in names.items():
            if (value := getattr(self.network, key)) not in kept:
                raise RecipeError(f"network.{key}={value} does not go with sac: its networks are perceptrons")
        if self.compute.channels_last:
            raise RecipeError("compute.channels_last=true does not go with sac: its networks are perceptrons")
