"""DQN with any value loss (Mnih et al. 2015; categorical critics after arXiv 2403.03950).

Legend: B batch, A actions, K outputs per value.

Deviations from the paper: environments run in parallel and updates come in bursts between rollouts
(the replay ratio is the same); Adam instead of RMSProp. `double` is Double Q-learning (van Hasselt et
al. 2016). With it, a dueling head and noisy layers (the network's), n-step returns and priorities (the
replay's) this is Rainbow (Hessel et al. 2018), with whatever value loss in C51's place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.feeds.replay_feed import ReplayFeed
from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.targets import copy_parameters, target_of
from catzoo.hparams import DQNRecipe
from catzoo.losses import ValueLoss


class DQN(Agent):
    """Deep Q-network with a target network; arguments as `Agent`.

    With `recipe.double` the online network picks the next action, and the target network values it.
    """

    feed = ReplayFeed

    def __init__(self, network: nn.Module, value_loss: ValueLoss, recipe: DQNRecipe) -> None:
        super().__init__(network, value_loss, recipe)
        self.target = target_of(network)

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """One Bellman step on a batch: (loss [B], TD error [B])."""
        outputs_BAK = self.network(batch.observation)
        with torch.no_grad():
            next_BAK = self.target(batch.next_observation)
            online_BAK = self.network(batch.next_observation) if self.recipe.double else None
        return self.value_loss.td(
            outputs_BAK,
            batch.action,
            next_BAK,
            batch.reward,
            batch.discount,
            next_online_outputs=online_BAK,
            weight=batch.weight,
        )

    def update_target(self) -> None:
        """Copies the online network into the target network."""
        copy_parameters(self.network, self.target)
