"""What the recipes of SAC and TD3 have in common: a policy of continuous actions, and critics of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from catzoo.hparams.components import ActorOptimizerConfig, NetworkConfig, ObservingNormalizeConfig
from catzoo.hparams.recipe import ADAPTIVE, Exploring, Recipe, Replaying
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class EnsembleNetworkConfig(NetworkConfig):
    """Networks of a policy and its critics."""

    actor_hidden: tuple[int, ...] | None = bounded(None, at_least=1, at_most=10**6)
    """Widths of the policy's hidden layers; null: `hidden`."""


@dataclass(frozen=True, kw_only=True)
class EnsembleCriticsRecipe(Replaying, Exploring, Recipe):
    """Agents whose policy follows an ensemble of critics, from replay."""

    num_critics: int = bounded(2, at_least=1, at_most=100)
    """Critics in the ensemble."""
    pool: Literal["min", "mean"] = "min"
    """The target is the lowest critic's, or the mean of all; so is what SAC's policy follows."""
    tau: float = bounded(0.005, above=0, at_most=1)
    """How far target networks follow at every update."""
    policy_delay: int = bounded(1, at_least=1, at_most=1_000)
    """Updates of the critics to one of the policy."""
    network: EnsembleNetworkConfig = field(default_factory=EnsembleNetworkConfig)
    normalize: ObservingNormalizeConfig = field(default_factory=ObservingNormalizeConfig)
    optimizer: ActorOptimizerConfig = field(default_factory=ActorOptimizerConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = self.agent
        if self.support == ADAPTIVE:
            raise RecipeError(f"support=adaptive does not go with {name}: support=auto fits any rewards")
        if self.record:
            raise RecipeError(
                f"record={self.record:g} does not go with {name}: continuous actions are not recorded"
            )
        kept = {"name": ("auto", "mlp", "bronet"), "experts": (0,), "width": (1.0,), "pixels": (None,)}
        for key, allowed in kept.items():
            if (value := getattr(self.network, key)) not in allowed:
                raise RecipeError(
                    f"network.{key}={value} does not go with {name}: its networks are of vectors"
                )
        if self.compute.channels_last:
            raise RecipeError(
                f"compute.channels_last=true does not go with {name}: its networks are of vectors"
            )
