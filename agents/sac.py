"""SAC with any value loss (Haarnoja et al. 2018, arXiv 1812.05905; categorical critics after 2403.03950).

Legend: B batch, E critics, M numbers of an action, K outputs per value.

A nat of the next action's entropy is worth alpha. It goes into the reward, r - discount * alpha * log pi: so
every atom of a distribution moves alike (SimbaV2, BRC), and C51 needs nothing of its own.

Deviations from the paper: rewards and observations may be scaled (`normalize`), for which the temperature has
to begin near 0.01, since 1 would fill a support of ±10 with entropy; updates come in bursts between rollouts;
an n-step return counts the entropy of its last action alone.
"""

from __future__ import annotations

import math
from typing import ClassVar

import gymnasium as gym
import torch
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.collecting.exploration import SampledActions
from catzoo.agents.feeds.replay_feed import ReplayFeed
from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.ensembles import backup_ensemble
from catzoo.agents.learning.learner import Step
from catzoo.agents.learning.targets import follow_parameters, target_of
from catzoo.agents.networks.continuous_actor_critic import ActorCritic
from catzoo.hparams import SACRecipe
from catzoo.losses import ValueLoss


class SAC(Agent):
    """Soft actor-critic, its temperature learned; arguments as `Agent`, the network an `ActorCritic`."""

    feed = ReplayFeed
    actions = gym.spaces.Box
    network_class = ActorCritic
    followers: ClassVar = {"target.": "network.critic."}

    def __init__(self, network: ActorCritic, value_loss: ValueLoss, recipe: SACRecipe) -> None:
        super().__init__(network, value_loss, recipe)
        self.target = target_of(network.critic)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(recipe.alpha)))
        self.log_prob_B: Tensor  # of the actor's sample, from which the temperature learns too
        self.register_buffer("log_prob_B", torch.full((recipe.batch_size,), math.nan), persistent=False)

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """One Bellman step of all critics to their pooled target: (loss [B], TD error [B])."""
        outputs_EBK = self.network.critic(self.network.seen(batch.observation), batch.action)
        next_BK, reward_B = self._following(batch)
        return backup_ensemble(self.value_loss, outputs_EBK, next_BK, reward_B, batch)

    @torch.no_grad()
    def _following(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """The pooled outputs [B, K] of a next action, and the reward [B] with its entropy."""
        observation = self.network.seen(batch.next_observation)
        action_BM, log_prob_B = self.network.actor(observation).sample()
        next_BK = self.value_loss.pool(self.target(observation, action_BM), self.recipe.pool)
        return next_BK, batch.reward - batch.discount * self.log_alpha.exp() * log_prob_B

    def chosen_and_targets(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """The critics' mixture [B, K] for the actions of a batch, and the values [B] that all learn."""
        next_BK, reward_B = self._following(batch)
        target_B = reward_B + batch.discount * self.value_loss.decode(next_BK)
        return self.outputs_of(batch.observation, batch.action), target_B

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, None]:
        """alpha log pi - Q [B] of new actions, by the lowest critic or by the mean of all (`pool`)."""
        observation = self.network.seen(batch.observation)
        action_BM, log_prob_B = self.network.actor(observation).sample()
        self.log_prob_B = log_prob_B.detach()
        value_EB = self.value_loss.decode(self.network.critic(observation, action_BM))
        value_B = value_EB.amin(0) if self.recipe.pool == "min" else value_EB.mean(0)
        return self.log_alpha.exp().detach() * log_prob_B - value_B, None

    def temperature_loss(self, batch: Transitions) -> tuple[Tensor, None]:
        """alpha (entropy - target entropy) [B], of the actions that the actor has just learned from."""
        wanted = self.recipe.target_entropy
        wanted = -batch.action.shape[-1] if wanted is None else wanted
        return -self.log_alpha.exp() * (wanted + self.log_prob_B), None

    def steps(self) -> tuple[Step, ...]:
        """Critics, actor, temperature; the last two every `policy_delay` updates."""
        critic, actor, recipe = self.network.critic, self.network.actor, self.recipe
        lr, delay = recipe.optimizer.lr, recipe.policy_delay
        return (
            Step("critic", self.critic_loss, list(critic.parameters()), lr),
            Step("actor", self.actor_loss, list(actor.parameters()), recipe.optimizer.actor_lr or lr, delay),
            Step("temperature", self.temperature_loss, [self.log_alpha], lr, delay, decays=False),
        )

    def follow(self) -> None:
        """The target critics come nearer by `tau`."""
        follow_parameters(self.network.critic, self.target, self.recipe.tau)

    def row(self, batch: Transitions | None) -> dict[str, float]:
        """The temperature."""
        return {"train/alpha": self.log_alpha.exp().item()}

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> SampledActions:
        """What plays: samples, and in evaluation mode the mode."""
        return SampledActions(self.network if network is None else network, space, seed=seed)

    def outputs_of(self, observation: Tensor, action: Tensor) -> Tensor:
        """The critics' mixture [B, K] for actions [B, M] taken at observations [B, ...]."""
        return self.value_loss.mixture(self.network.critic(self.network.seen(observation), action))

    @torch.no_grad()
    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [B, 1, K] of the policy's modes [B, M], and these."""
        action_BM = self.network(observation).mode
        return self.outputs_of(observation, action_BM)[:, None], action_BM
