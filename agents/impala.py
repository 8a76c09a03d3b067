"""IMPALA's learner with any value loss (Espeholt et al. 2018, arXiv 1802.01561).

Rollouts are gone over once, and V-trace corrects for the policy that played them: with `compute.overlap` that
is one iteration old, and with several minibatches some updates older still.

Legend: B environments of a batch, T steps, K outputs per value.

Deviations from the paper: Adam where it has RMSProp; one machine plays and learns; the value of what followed
a rollout is that of the weights before its first minibatch; C51 projects the scalar target; the loss is a
mean over the batch where the paper has a sum, so that its largest gradient norm of 40 hardly ever clips.
"""

from __future__ import annotations

import gymnasium as gym
import torch
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.collecting.exploration import SampledActions
from catzoo.agents.feeds.rollout_feed import SegmentFeed
from catzoo.agents.learning.batches import Rollout, Segments
from catzoo.agents.learning.learner import Step
from catzoo.agents.learning.returns import end_values, next_values, vtrace
from catzoo.agents.networks.policy_value import Policy, PolicyValueNetwork


class IMPALA(Agent):
    """Actor-critic with V-trace; arguments as `Agent`."""

    feed = SegmentFeed
    actions = gym.spaces.Discrete | gym.spaces.Box
    values_states = True
    family = Segments
    network_class = PolicyValueNetwork

    @torch.no_grad()
    def label(self, rollout: Rollout) -> Segments:
        """A rollout [N, T, ...] with the values of what followed it."""
        end_value_NT = end_values(lambda seen: self.value_loss.decode(self.network.outputs(seen)), rollout)
        return Segments(
            rollout.observation, rollout.action, rollout.log_prob, rollout.reward, rollout.terminated,
            rollout.done, end_value_NT, rollout.valid,
        )  # fmt: skip

    def critic_loss(self, batch: Segments) -> tuple[Tensor, Tensor]:
        """Policy gradient, value loss and entropy's bonus [B, T] in one; the value's error [B, T]."""
        policy, outputs, log_prob_BT = self._passed(batch)
        target_BT, advantage_BT, error_BT = self._traced(batch, outputs, log_prob_BT)
        value_loss = self.value_loss(outputs, target_BT.flatten())
        recipe, shape = self.recipe, batch.reward.shape
        bonus = recipe.value_coef * value_loss - recipe.entropy_coef * policy.entropy()
        loss_BT = bonus.view(shape) - advantage_BT * log_prob_BT
        # The learner takes the mean over all steps: those that are resets weigh nothing in it.
        weight_BT = batch.valid / batch.valid.float().mean().clamp(min=1e-6)
        return torch.where(batch.valid, loss_BT * weight_BT, 0.0), torch.where(batch.valid, error_BT, 0.0)

    def _passed(self, batch: Segments) -> tuple[Policy, Tensor, Tensor]:
        """The policy and the value's outputs [B T, K], and the log-probabilities [B, T] of the actions."""
        policy, outputs = self.network.both(batch.observation.flatten(0, 1))
        return policy, outputs, policy.log_prob(batch.action.flatten(0, 1)).view(batch.reward.shape)

    @torch.no_grad()
    def _traced(self, batch: Segments, outputs: Tensor, log_prob_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """V-trace targets, advantages, and the value's errors [B, T]."""
        value_BT = self.value_loss.decode(outputs).view(batch.reward.shape)
        following_BT = next_values(value_BT, batch.end_value, batch.done)
        ratio_BT = (log_prob_BT - batch.log_prob).exp()
        target_BT, advantage_BT = vtrace(
            batch.reward, batch.terminated, batch.done, value_BT, following_BT, ratio_BT, self.recipe.gamma
        )
        return target_BT, advantage_BT, target_BT - value_BT

    def steps(self) -> tuple[Step, ...]:
        """One, for policy and value."""
        parameters, lr = list(self.network.parameters()), self.recipe.optimizer.lr
        return (Step("critic", self.critic_loss, parameters, lr, weigh=_valid_share),)

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> SampledActions:
        """What plays: samples with their densities, and in evaluation mode the mode."""
        network = self.network if network is None else network
        return SampledActions(network, space, seed=seed, density=True)

    def chosen_and_targets(self, batch: Segments) -> tuple[Tensor, Tensor]:
        """The value's outputs [B T, K] for a batch, and the targets [B T] that they learn."""
        _, outputs, log_prob_BT = self._passed(batch)
        valid = batch.valid.flatten()
        return outputs[valid], self._traced(batch, outputs, log_prob_BT)[0].flatten()[valid]

    def outputs_of(self, observation: Tensor, action: Tensor) -> Tensor:
        """The value's outputs [B, K] at observations [B, ...], whatever the action."""
        return self.network.outputs(observation)

    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The value's outputs [B, 1, K], and the policy's modes [B, ...]."""
        return self.network.appraise(observation)

    def chances(self, observation: Tensor) -> Tensor | None:
        """The policy's probabilities [B, A]; None where actions are continuous."""
        return self.network.chances(observation)

    @torch.no_grad()
    def row(self, batch: Segments | None) -> dict[str, float]:
        """Of the newest batch: the policy's entropy, and how far it is from the one that played."""
        if batch is None:
            return {}
        policy, _, log_prob_BT = self._passed(batch)
        apart = (log_prob_BT - batch.log_prob)[batch.valid].cpu().double()  # little is left of it in float32
        return {
            "train/entropy": policy.entropy().mean().item(),
            "train/kl": (apart.exp() - 1 - apart).mean().item(),
        }


def _valid_share(batch: Segments) -> Tensor:
    """The share [] of a batch's steps that are transitions."""
    return batch.valid.float().mean()
