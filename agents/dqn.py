"""DQN with any value loss (Mnih et al. 2015; categorical critics after arXiv 2403.03950).

Legend: B batch, A actions, K outputs per value.

Deviations from the paper: environments run in parallel and updates come in bursts between rollouts
(the replay ratio is the same); Adam instead of RMSProp. `double` is Double Q-learning (van Hasselt et
al. 2016). With it, a dueling head and noisy layers (the network's), n-step returns and priorities (the
replay's) this is Rainbow (Hessel et al. 2018), with whatever value loss in C51's place.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from catzoo.agents.agent import TrainingOptions
from catzoo.agents.feeds.replay_feed import OffPolicyAgent
from catzoo.agents.replay import Batch
from catzoo.losses import ValueLoss


class DQN(OffPolicyAgent):
    """Deep Q-network with a target network.

    Args:
        network: observation [B, ...] to outputs [B, A, K].
        value_loss: K = `value_loss.num_outputs`.
        options: how to learn.
        double: the online network picks the next action, the target network values it.
    """

    def __init__(
        self,
        network: nn.Module,
        value_loss: ValueLoss,
        options: TrainingOptions | None = None,
        *,
        double: bool = False,
    ) -> None:
        super().__init__(network, value_loss, options)
        self.double = double
        self.target = copy.deepcopy(network).requires_grad_(False)

    def update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One Bellman step on a batch: (loss [B], TD error [B])."""
        outputs_BAK = self.network(batch.observation)
        with torch.no_grad():
            next_BAK = self.target(batch.next_observation)
            online_BAK = self.network(batch.next_observation) if self.double else None
        return self.value_loss.td(
            outputs_BAK,
            batch.action,
            next_BAK,
            batch.reward,
            batch.discount,
            next_online_outputs=online_BAK,
            weight=batch.weight,
        )

    @torch.no_grad()
    def update_target(self) -> None:
        """Copies the online network into the target network."""
        torch._foreach_copy_(list(self.target.parameters()), list(self.network.parameters()))
