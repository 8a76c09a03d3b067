"""PPO with any value loss as its critic (Schulman et al. 2017, arXiv 1707.06347; 2403.03950).

Legend: B batch, N environments, T steps, A actions, M numbers of an action, K outputs per value.

Deviations from the paper: policy and value have optimizers of their own, each with its gradient clipped,
where they do not share a torso, since squared errors would fill a common clip and shrink the policy's step;
the value loss is not clipped, which means nothing for bins and helps nobody else; C51 projects the scalar
return, which has no distribution to shift.
"""

from __future__ import annotations

import gymnasium as gym
import torch
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.collecting.exploration import SampledActions
from catzoo.agents.feeds.rollout_feed import RolloutFeed
from catzoo.agents.learning.batches import Advantages, Rollout
from catzoo.agents.learning.learner import Step
from catzoo.agents.learning.returns import end_values, generalized_advantages, in_chunks, next_values
from catzoo.agents.networks.policy_value import Policy, PolicyValueNetwork


class PPO(Agent):
    """Proximal policy optimisation with clipped ratios; arguments as `Agent`."""

    feed = RolloutFeed
    actions = gym.spaces.Discrete | gym.spaces.Box
    values_states = True
    family = Advantages
    network_class = PolicyValueNetwork

    @torch.no_grad()
    def label(self, rollout: Rollout) -> Advantages:
        """A rollout's steps [N, T, ...] with their advantages and returns (GAE)."""
        flat, shape, recipe = rollout.observation.flatten(0, 1), rollout.reward.shape, self.recipe
        value_NT = in_chunks(self.values, flat, flat.device).view(shape)
        following_NT = next_values(value_NT, end_values(self.values, rollout), rollout.done)
        advantage_NT = generalized_advantages(
            rollout.reward, rollout.terminated, rollout.done, value_NT, following_NT,
            recipe.gamma, recipe.gae_lambda,
        )  # fmt: skip
        returns_NT = advantage_NT + value_NT
        return Advantages(rollout.observation, rollout.action, rollout.log_prob, advantage_NT, returns_NT)

    def joined(self, batches: Advantages) -> Advantages:
        """Advantages are standardised over all ranks' rows, as `_surrogate` does it over one rank's."""
        advantage_KB = batches.advantage
        mean_K1 = self.ranks.mean(advantage_KB.mean(1, keepdim=True))
        deviation_K1 = self.ranks.mean((advantage_KB - mean_K1).square().mean(1, keepdim=True)).sqrt()
        return batches._replace(advantage=(advantage_KB - mean_K1) / (deviation_K1 + 1e-8))

    def values(self, observation: Tensor) -> Tensor:
        """Values [B] of observations [B, ...]."""
        return self.value_loss.decode(self.network.outputs(observation))

    def critic_loss(self, batch: Advantages) -> tuple[Tensor, Tensor]:
        """The value's loss and error [B] against the returns."""
        return self._fit(self.network.outputs(batch.observation), batch)

    def _fit(self, outputs_BK: Tensor, batch: Advantages) -> tuple[Tensor, Tensor]:
        error_B = batch.returns - self.value_loss.decode(outputs_BK).detach()
        return self.value_loss(outputs_BK, batch.returns), error_B

    def policy_loss(self, batch: Advantages) -> tuple[Tensor, None]:
        """The clipped surrogate less the entropy's bonus [B] (eq. 7)."""
        return self._surrogate(self.network(batch.observation), batch), None

    def _surrogate(self, policy: Policy, batch: Advantages) -> Tensor:
        ratio_B = (policy.log_prob(batch.action) - batch.log_prob).exp()
        advantage_B = batch.advantage
        if self.ranks.count == 1:  # else see `joined`
            advantage_B = (advantage_B - advantage_B.mean()) / (advantage_B.std(correction=0) + 1e-8)
        clipped_B = ratio_B.clamp(1 - self.recipe.clip, 1 + self.recipe.clip)
        gain_B = torch.minimum(ratio_B * advantage_B, clipped_B * advantage_B)
        return -gain_B - self.recipe.entropy_coef * policy.entropy()

    def joint_loss(self, batch: Advantages) -> tuple[Tensor, Tensor]:
        """Both losses [B] in one, for a torso that policy and value share; the value's error [B]."""
        policy, outputs_BK = self.network.both(batch.observation)
        loss_B, error_B = self._fit(outputs_BK, batch)
        return self._surrogate(policy, batch) + self.recipe.value_coef * loss_B, error_B

    def steps(self) -> tuple[Step, ...]:
        """The value's and the policy's, or one for both where they share a torso."""
        network, optimizer = self.network, self.recipe.optimizer
        if network.shared:
            return (Step("critic", self.joint_loss, list(network.parameters()), optimizer.lr),)
        own = set(network.value.parameters())
        others = [parameter for parameter in network.parameters() if parameter not in own]
        return (
            Step("critic", self.critic_loss, list(network.value.parameters()), optimizer.lr),
            Step("policy", self.policy_loss, others, optimizer.actor_lr or optimizer.lr),
        )

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> SampledActions:
        """What plays: samples with their densities, and in evaluation mode the mode."""
        network = self.network if network is None else network
        return SampledActions(network, space, seed=seed, density=True)

    def chosen_and_targets(self, batch: Advantages) -> tuple[Tensor, Tensor]:
        """The value's outputs [B, K] for a batch, and the returns [B] that they learn."""
        return self.network.outputs(batch.observation), batch.returns

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
    def row(self, batch: Advantages | None) -> dict[str, float]:
        """Of the newest batch: the policy's entropy, how far it moved, and the share of ratios clipped."""
        if batch is None:
            return {}
        policy = self.network(batch.observation)
        # In float32 little is left of a ratio less 1 less its logarithm.
        apart_B = (policy.log_prob(batch.action) - batch.log_prob).cpu().double()
        ratio_B = apart_B.exp()
        return {
            "train/entropy": policy.entropy().mean().item(),
            "train/kl": (ratio_B - 1 - apart_B).mean().item(),
            "train/clipped": ((ratio_B - 1).abs() > self.recipe.clip).float().mean().item(),
        }
