"""TD3 with any value loss (Fujimoto et al. 2018, arXiv 1802.09477; categorical critics after 2403.03950).

With many environments, n-step returns, noise of many sizes and weight decay it is FastTD3 (Seo et al. 2025,
arXiv 2505.22642).

Legend: B batch, E critics, M numbers of an action, K outputs per value.

Deviations from the paper: targets follow at every update, and not with the actor alone; rewards and
observations may be scaled (`normalize`); updates come in bursts between rollouts; where the target is the
mean of the critics (`pool=mean`), so is what the actor follows.
"""

from __future__ import annotations

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
from catzoo.agents.networks.continuous_actor_critic import DeterministicActorCritic
from catzoo.hparams import TD3Recipe
from catzoo.losses import ValueLoss


class TD3(Agent):
    """Twin delayed deterministic policy gradient; arguments as `Agent`."""

    feed = ReplayFeed
    actions = gym.spaces.Box
    network_class = DeterministicActorCritic
    followers: ClassVar = {"target.": "network.critic.", "target_actor.": "network.actor."}

    def __init__(self, network: DeterministicActorCritic, value_loss: ValueLoss, recipe: TD3Recipe) -> None:
        super().__init__(network, value_loss, recipe)
        self.target, self.target_actor = target_of(network.critic), target_of(network.actor)

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """One Bellman step of all critics to their pooled target: (loss [B], TD error [B])."""
        outputs_EBK = self.network.critic(self.network.seen(batch.observation), batch.action)
        return backup_ensemble(self.value_loss, outputs_EBK, self._following(batch), batch.reward, batch)

    @torch.no_grad()
    def _following(self, batch: Transitions) -> Tensor:
        """The pooled outputs [B, K] of the target actor's next action, with clipped noise (section 5.3)."""
        observation = self.network.seen(batch.next_observation)
        policy, most = self.target_actor(observation), self.recipe.smoothing_clip
        noise_BM = (self.recipe.smoothing * torch.randn_like(policy.mode)).clamp(-most, most)
        return self.value_loss.pool(self.target(observation, policy.sample(noise_BM)[0]), self.recipe.pool)

    def chosen_and_targets(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """The critics' mixture [B, K] for the actions of a batch, and the values [B] that all learn."""
        target_B = batch.reward + batch.discount * self.value_loss.decode(self._following(batch))
        return self.outputs_of(batch.observation, batch.action), target_B

    def actor_loss(self, batch: Transitions) -> tuple[Tensor, None]:
        """-Q [B] of the actor's own actions, by the first critic or by the mean of all."""
        observation = self.network.seen(batch.observation)
        value_EB = self.value_loss.decode(
            self.network.critic(observation, self.network.actor(observation).mode)
        )
        return -(value_EB[0] if self.recipe.pool == "min" else value_EB.mean(0)), None

    def steps(self) -> tuple[Step, ...]:
        """Critics, and the actor every `policy_delay` updates."""
        critic, actor, optimizer = self.network.critic, self.network.actor, self.recipe.optimizer
        actor_lr, delay = optimizer.actor_lr or optimizer.lr, self.recipe.policy_delay
        return (
            Step("critic", self.critic_loss, list(critic.parameters()), optimizer.lr),
            Step("actor", self.actor_loss, list(actor.parameters()), actor_lr, delay),
        )

    def follow(self) -> None:
        """The target networks come nearer by `tau`."""
        follow_parameters(self.network.critic, self.target, self.recipe.tau)
        follow_parameters(self.network.actor, self.target_actor, self.recipe.tau)

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> SampledActions:
        """What plays: actions with noise, and in evaluation mode without."""
        network, noise = self.network if network is None else network, self.recipe.noise
        return SampledActions(network, space, seed=seed, spread=(noise, self.recipe.least_noise or noise))

    def outputs_of(self, observation: Tensor, action: Tensor) -> Tensor:
        """The critics' mixture [B, K] for actions [B, M] taken at observations [B, ...]."""
        return self.value_loss.mixture(self.network.critic(self.network.seen(observation), action))

    @torch.no_grad()
    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [B, 1, K] of the actor's actions [B, M], and these."""
        action_BM = self.network(observation).mode
        return self.outputs_of(observation, action_BM)[:, None], action_BM
