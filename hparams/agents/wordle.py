"""The recipe of Wordle's language agent."""

from __future__ import annotations

from dataclasses import dataclass, field

from catzoo.hparams.agents.from_dataset import Conservative, refuse_reward_clip
from catzoo.hparams.components import SequenceNetworkConfig
from catzoo.hparams.recipe import Recipe
from catzoo.hparams.schema import bounded


@dataclass(frozen=True, kw_only=True)
class WordleRecipe(Conservative, Recipe):
    """Q-learning over the letters of whole games, conservative about what the data does not do."""

    cql_weight: float = bounded(0.3, at_least=0)
    """Weight of log-sum-exp Q(s, .) - Q(s, a) beside the TD loss; the paper's alpha, of 0.1, 0.3 and 1."""
    gamma: float = bounded(1.0, at_least=0, at_most=1)
    """Discount of one letter; a game ends, so that there need be none."""
    double: bool = False
    """The online network picks the next letter."""
    masked: bool = True
    """Chooses only letters that some word of the list goes on with; false: any letter, as the paper's."""
    tau: float = bounded(0.02, above=0, at_most=1)
    """Share of the way that the target network goes at each update."""
    network: SequenceNetworkConfig = field(default_factory=SequenceNetworkConfig)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_reward_clip(self)
