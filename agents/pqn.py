"""PQN with any value loss: parallelised Q-learning without replay and target network.

Gallici et al. 2024, arXiv 2407.04811. Legend: N environments, T steps, B batch, A actions, K outputs a value.

A rollout of all environments gives Q(lambda) returns, which the network is fitted to in a few epochs of
shuffled minibatches, and is then thrown away. Layer normalisation (`network.layer_norm`) takes the target
network's place in keeping it stable.

Deviations from the paper: Adam where it has RAdam; C51 projects the scalar return, since a Q(lambda) return
has no distribution to shift; a truncated episode bootstraps, where the authors' code takes it as terminated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from catzoo.agents.agent import Agent
from catzoo.agents.feeds.rollout_feed import RolloutFeed
from catzoo.agents.learning.batches import Returns, Rollout
from catzoo.agents.learning.returns import in_chunks, q_lambda_returns


class PQN(Agent):
    """Parallelised Q-network, see the module; arguments as `Agent`."""

    feed = RolloutFeed
    family = Returns

    def critic_loss(self, batch: Returns) -> tuple[Tensor, Tensor]:
        """One step towards the returns: (loss [B], TD error [B])."""
        outputs_BAK = self.network(batch.observation)
        # A return is a target without a bootstrap: its discount is 0, and what is discounted does not matter.
        nothing_B = torch.zeros_like(batch.returns)
        return self.value_loss.td(outputs_BAK, batch.action, outputs_BAK.detach(), batch.returns, nothing_B)

    @torch.no_grad()
    def label(self, rollout: Rollout) -> Returns:
        """A rollout's steps [N, T, ...] with their Q(lambda) returns."""
        reward_NT = rollout.reward
        time_major = rollout.next_observation.transpose(0, 1).flatten(0, 1)
        value = in_chunks(self._greedy_value, time_major, reward_NT.device)
        value_NT = value.unflatten(0, reward_NT.T.shape).T
        recipe, ends = self.recipe, (rollout.terminated, rollout.done)
        returns_NT = q_lambda_returns(reward_NT, *ends, value_NT, recipe.gamma, recipe.q_lambda)
        return Returns(rollout.observation, rollout.action, returns_NT)

    def _greedy_value(self, observation: Tensor) -> Tensor:
        return self.value_loss.decode(self.network(observation)).amax(dim=-1)
