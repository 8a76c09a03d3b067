"""Q-Transformer's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from catzoo.hparams.agents.from_dataset import FromDataset, refuse_reward_clip
from catzoo.hparams.components import NetworkConfig, ObservingNormalizeConfig, SequenceNetworkConfig
from catzoo.hparams.recipe import Recipe
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class ActionTransformerConfig(SequenceNetworkConfig, NetworkConfig):
    """A torso that makes a token of the observation, and the transformer over it and the action."""

    def __post_init__(self) -> None:
        if self.size % self.num_heads:
            raise RecipeError(f"network.num_heads={self.num_heads} must divide network.size={self.size}")


@dataclass(frozen=True, kw_only=True)
class QTransformerRecipe(FromDataset, Recipe):
    """Q-learning from a dataset over the dimensions of an action, one after the other."""

    bins: int = bounded(16, at_least=2, at_most=100_000)
    """Q-Transformer: of each dimension of an action; the data have to fill them."""
    conservative: float = bounded(1.0, at_least=0, at_most=1e6)
    """Q-Transformer: weight of drawing bins that the data did not take to 0."""
    monte_carlo_bound: bool = True
    """Q-Transformer: no target is below the return that the data had from there."""
    learn: Literal["values", "cloning"] = "values"
    """Q-Transformer: values, or the data's own actions, to compare with."""
    tau: float = bounded(0.01, above=0, at_most=1)
    """How far the target network follows at every update."""
    network: ActionTransformerConfig = field(default_factory=ActionTransformerConfig)
    normalize: ObservingNormalizeConfig = field(default_factory=ObservingNormalizeConfig)

    def __post_init__(self) -> None:
        refuse_reward_clip(self)
        if self.normalize.reward:
            raise RecipeError(f"normalize.reward does not go with {self.agent}, whose returns are the data's")
        if self.learn == "cloning" and self.value_loss.name != "mse":
            raise RecipeError(
                f"learn=cloning has logits for values: value_loss.name=mse, and not {self.value_loss.name}"
            )
