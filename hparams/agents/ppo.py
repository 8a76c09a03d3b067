"""PPO's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

from catzoo.hparams.agents.policy_gradient import PolicyGradientRecipe
from catzoo.hparams.components import ActorOptimizerConfig
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class PPORecipe(PolicyGradientRecipe):
    """Proximal policy optimisation: a few epochs on every rollout."""

    gae_lambda: float = bounded(0.95, at_least=0, at_most=1)
    """PPO: the lambda of its advantages and returns."""
    clip: float = bounded(0.2, above=0, at_most=10)
    """PPO: how far the ratio of new and old probabilities counts."""
    epochs: int = bounded(4, at_least=1, at_most=1_000)
    """PPO: passes over every rollout."""
    optimizer: ActorOptimizerConfig = field(default_factory=ActorOptimizerConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise RecipeError(
                f"batch_size={self.batch_size}: advantages are standardised over a batch, and one alone is 0"
            )
        if self.network.shared and self.optimizer.actor_lr is not None:
            raise RecipeError(
                f"optimizer.actor_lr={self.optimizer.actor_lr:g} does not go with network.shared=true, where "
                "policy and value learn in one step: optimizer.actor_lr=null, and optimizer.lr for both"
            )
