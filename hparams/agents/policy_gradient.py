"""What the recipes of PPO and IMPALA have in common: a policy and a value, learned from rollouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from catzoo.hparams.components import NetworkConfig, ObservingNormalizeConfig
from catzoo.hparams.recipe import ADAPTIVE, Playing, Recipe
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class PolicyNetworkConfig(NetworkConfig):
    """Networks of a policy and a value."""

    shared: bool = False
    """Whether policy and value stand on one torso."""
    activation: Literal["auto", "relu", "tanh"] = "auto"
    """Between the layers of an MLP; auto: tanh. Torsos for images have ReLU."""


@dataclass(frozen=True, kw_only=True)
class PolicyGradientRecipe(Playing, Recipe):
    """Agents that learn a policy and the value of states from whole rollouts."""

    entropy_coef: float = bounded(0.01, at_least=0, at_most=1e6)
    """What a nat of the policy's entropy is worth beside its gain."""
    value_coef: float = bounded(0.5, at_least=0, at_most=1e6)
    """Weight of the value's loss where it is learned in one step with the policy."""
    network: PolicyNetworkConfig = field(default_factory=PolicyNetworkConfig)
    normalize: ObservingNormalizeConfig = field(default_factory=ObservingNormalizeConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.support == ADAPTIVE:
            raise RecipeError(
                f"support=adaptive does not go with {self.agent}: support=auto fits any rewards"
            )
