"""Q-Transformer with any value loss: offline Q-learning over the dimensions of a continuous action.

Chebotar et al. 2023, arXiv 2309.10150; arXiv 2403.03950, section 4.4. Legend: B batch, D dimensions of an
action, N bins of each, K outputs per value.

Each dimension is one of N uniform bins of [-1, 1], and Q(s, a_1 ... a_i) the best that can follow. Dimensions
are chosen one after the other, so that the target of all but the last is the maximum over the next one, after
the data's own a_1 ... a_i; that of the last is r + gamma max Q(s', a_1), which alone is discounted. No target
is below the return that the data had from there (`monte_carlo_bound`). Bins that the data did not take are
drawn to 0, the least return, by the value loss itself, with the weight `conservative`.

What that comes to: with p the share of a bin in the data and y its target, both terms balance where

    Q(bin) = p y / (p + conservative (1 - p) / (N - 1))

with every loss that is least at the mean of its labels: MSE, and the cross-entropies, up to what their
labels can show. So the term is equally strong for each of them, other than CQL's. At a uniform behaviour and
weight 1 all bins have half of their values, and `max Q` is too low by as much at each of the D + 1 maxima of
a step: hence the bound.

`learn="cloning"` is what it is compared with: the same network learns the data's bins by cross-entropy, its
values as logits.

Deviations from the paper: one state a step, without a history of frames or words; no n-step returns over
dimensions; the values have no sigmoid, as the loss may be a classification.
"""

from __future__ import annotations

import gymnasium as gym
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.collecting.exploration import GreedyActions
from catzoo.agents.feeds.dataset_feed import DatasetFeed
from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.targets import follow_parameters, target_of
from catzoo.agents.networks.action_transformer import ActionTransformer
from catzoo.agents.replay.bounded_replay import BoundedReplay
from catzoo.hparams import QTransformerRecipe
from catzoo.losses import ValueLoss, take_action


class QTransformer(Agent):
    """Conservative Q-learning over bins of actions; as `Agent`, the network an `ActionTransformer`."""

    feed = DatasetFeed
    replay = BoundedReplay
    actions = gym.spaces.Box
    network_class = ActionTransformer

    def __init__(self, network: ActionTransformer, value_loss: ValueLoss, recipe: QTransformerRecipe) -> None:
        super().__init__(network, value_loss, recipe)
        self.target = target_of(network)
        self.target.normalize = network.normalize  # one and the same

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Bellman over dimensions with the conservative term, or cloning: (loss [B], TD error [B])."""
        bins_BD = self.bins_of(batch.action)
        outputs_BDNK = self.network(batch.observation, bins_BD[:, :-1])
        if self.recipe.learn == "cloning":
            logits_BDN = self.value_loss.decode(outputs_BDNK)
            loss_BD = F.cross_entropy(logits_BDN.transpose(1, 2), bins_BD, reduction="none")
            return loss_BD.mean(1), torch.zeros_like(batch.reward)
        target_BD = self.targets(batch, bins_BD)
        chosen_BDK = take_action(outputs_BDNK, bins_BD)
        loss_BD = self.value_loss(chosen_BDK, target_BD)
        if self.recipe.conservative:
            loss_BD = loss_BD + self.recipe.conservative * self._to_zero(outputs_BDNK, bins_BD)
        return loss_BD.mean(1), (target_BD - self.value_loss.decode(chosen_BDK).detach())[:, -1]

    def _to_zero(self, outputs_BDNK: Tensor, bins_BD: Tensor) -> Tensor:
        """The mean loss [B, D] of the bins that the data did not take against 0."""
        loss_BDN = self.value_loss(outputs_BDNK, outputs_BDNK.new_zeros(outputs_BDNK.shape[:-1]))
        taken_BDN = F.one_hot(bins_BD, self.network.num_bins).bool()
        return loss_BDN.masked_fill(taken_BDN, 0).sum(-1) / (self.network.num_bins - 1)

    @torch.no_grad()
    def targets(self, batch: Transitions, bins_BD: Tensor) -> Tensor:
        """What the bins of a batch learn, [B, D]: the best of the next dimension, or of the next state."""
        decode, none_B0 = self.value_loss.decode, bins_BD[:, :0]
        # The best of the first dimension is that of the state, which nothing before it learns.
        best_BD = decode(self.target(batch.observation, bins_BD[:, :-1])[:, 1:]).amax(-1)
        next_B = decode(self.target(batch.next_observation, none_B0))[:, 0].amax(-1)
        last_B = batch.reward + batch.discount * next_B
        target_BD = torch.cat((best_BD, last_B[:, None]), 1)
        if self.recipe.monte_carlo_bound:
            target_BD = target_BD.maximum(batch.return_to_go[:, None])
        return target_BD

    def bins_of(self, action: Tensor) -> Tensor:
        """The bins [B, D] that actions [B, D] within ±1 are in."""
        return ((action + 1) / 2 * self.network.num_bins).long().clamp(0, self.network.num_bins - 1)

    def centers_of(self, bins_BD: Tensor) -> Tensor:
        """The actions [B, D] in the middle of bins."""
        return (bins_BD + 0.5) * (2 / self.network.num_bins) - 1

    @torch.no_grad()
    def choose(self, network: nn.Module, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [B, D, N, K] after what it chose before, and the bins [B, D] of greatest value."""
        state_B1S = network.seen(observation)
        bins_BD = torch.zeros(state_B1S.shape[0], 0, dtype=torch.int64, device=state_B1S.device)
        for _ in range(network.num_dimensions):
            outputs_BDNK = network.values(state_B1S, bins_BD)
            best_B = self.value_loss.decode(outputs_BDNK[:, -1]).argmax(-1)
            bins_BD = torch.cat((bins_BD, best_B[:, None]), 1)
        return outputs_BDNK, bins_BD

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> GreedyActions:
        """What plays: the centres of the bins that it chooses."""

        def greedy(network: nn.Module, observation: Tensor) -> Tensor:
            return self.centers_of(self.choose(network, observation)[1])

        return GreedyActions(self.network if network is None else network, greedy, space, seed=seed)

    @torch.no_grad()
    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [B, 1, K] of the actions that it chooses, and these [B, D]."""
        outputs_BDNK, bins_BD = self.choose(self.network, observation)
        return take_action(outputs_BDNK, bins_BD)[:, -1:], self.centers_of(bins_BD)

    def outputs_of(self, observation: Tensor, action: Tensor) -> Tensor:
        """The outputs [B, K] for whole actions [B, D] taken at observations [B, ...]."""
        bins_BD = self.bins_of(action)
        return take_action(self.network(observation, bins_BD[:, :-1]), bins_BD)[:, -1]

    def follow(self) -> None:
        """The target network comes nearer by `tau`."""
        follow_parameters(self.network, self.target, self.recipe.tau)
