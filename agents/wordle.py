"""Wordle by a language agent: Q-learning over the letters of whole games, with any value loss.

Stop Regressing (arXiv 2403.03950, section 4.3) trains DQN with CQL's term on games of mixed quality; the
environment and the tokens are in the tradition of ILQL (Snell et al. 2022, arXiv 2206.11871).

One pass over a game gives the values of all letters at all 30 choices; the target of a choice is the best
value at the next one, by a network that follows. Letters are held to the list of words (`masked`) in the
target, in the conservative term and in play.

Deviations from the paper: small networks by default, colours as in the real game, a colour's token carries
its letter, rewards of whole guesses without discount. Legend: B games, T choices, A letters, K outputs.
"""

from __future__ import annotations

import gymnasium as gym
import torch
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.collecting.exploration import EpsilonGreedy
from catzoo.agents.feeds.dataset_feed import DatasetFeed
from catzoo.agents.learning.batches import Sequences
from catzoo.agents.learning.conservative import check_strength, held_back
from catzoo.agents.learning.learner import Step
from catzoo.agents.learning.targets import follow_parameters, target_of
from catzoo.agents.networks.token_q_network import TokenQNetwork
from catzoo.agents.replay import SequenceReplay
from catzoo.hparams import WordleRecipe
from catzoo.losses import ValueLoss, take_action


class Wordle(Agent):
    """Conservative Q-learning over letters; arguments as `Agent`, the network a `TokenQNetwork`.

    Raises RecipeError for a `cql_strength` with a loss of one's own that has no `curvature`.
    """

    feed = DatasetFeed
    replay = SequenceReplay
    family = Sequences
    network_class = TokenQNetwork

    def __init__(self, network: TokenQNetwork, value_loss: ValueLoss, recipe: WordleRecipe) -> None:
        super().__init__(network, value_loss, recipe)
        check_strength(value_loss, recipe)
        self.target = target_of(network)

    def critic_loss(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        """A Bellman step at every choice with the conservative term: (loss [B, T], TD error [B, T])."""
        outputs_BTAK = self.network.choices(batch.tokens)
        allowed_BTA, live_BT = self.network.allowed_choices(batch.action), batch.action >= 0
        action_BT = batch.action.long().clamp(min=0)
        next_BTK, discount_BT = self._following(batch, outputs_BTAK, allowed_BTA)
        loss_BT, error_BT = self.value_loss.backup(
            take_action(outputs_BTAK, action_BT), next_BTK, batch.reward, discount_BT
        )
        loss_BT = loss_BT + held_back(self.value_loss, outputs_BTAK, action_BT, self.recipe, allowed_BTA)
        # The learner takes the mean over all choices: those after a game's end weigh nothing in it.
        weight_BT = live_BT / live_BT.float().mean().clamp(min=1e-6)
        return torch.where(live_BT, loss_BT * weight_BT, 0.0), torch.where(live_BT, error_BT, 0.0)

    def steps(self) -> tuple[Step, ...]:
        """As `Agent.steps`; of many learners each weighs what it has of choices."""
        (step,) = super().steps()
        return (step._replace(weigh=lambda batch: (batch.action >= 0).float().mean()),)

    @torch.no_grad()
    def _following(
        self, batch: Sequences, outputs_BTAK: Tensor, allowed_BTA: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The outputs [B, T, K] of the best letter at the next choice, and its discount [B, T]."""
        target_BTAK = self.target.choices(batch.tokens)
        chooser = outputs_BTAK if self.recipe.double else target_BTAK
        value_BTA = self.value_loss.decode(chooser).masked_fill(~allowed_BTA, -torch.inf)
        best_BTK = take_action(target_BTAK, value_BTA.argmax(-1))
        live_BT = batch.action >= 0
        next_live_BT = torch.cat((live_BT[:, 1:], torch.zeros_like(live_BT[:, :1])), 1)
        next_BTK = torch.cat((best_BTK[:, 1:], best_BTK[:, :1]), 1)
        return next_BTK, self.recipe.gamma * next_live_BT.float()

    def follow(self) -> None:
        """The target network comes nearer by `tau`."""
        follow_parameters(self.network, self.target, self.recipe.tau)

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> EpsilonGreedy:
        """What plays: the best letter of those that are allowed."""
        network = self.network if network is None else network
        return EpsilonGreedy(
            network, self.value_loss.decode, int(space.n), allowed=network.allowed, seed=seed
        )

    @torch.no_grad()
    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [B, A, K] of all letters, and the best of those that are allowed [B]."""
        outputs_BAK = self.network(observation)
        value_BA = self.value_loss.decode(outputs_BAK)
        return outputs_BAK, value_BA.masked_fill(~self.network.allowed(observation), -torch.inf).argmax(-1)

    def chosen_and_targets(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        """The outputs [M, K] of the M choices of a batch of games, and the values [M] that they learn."""
        outputs_BTAK, live_BT = self.network.choices(batch.tokens), batch.action >= 0
        chosen_BTK = take_action(outputs_BTAK, batch.action.long().clamp(min=0))
        next_BTK, discount_BT = self._following(
            batch, outputs_BTAK, self.network.allowed_choices(batch.action)
        )
        target_BT = batch.reward + discount_BT * self.value_loss.decode(next_BTK)
        return chosen_BTK[live_BT], target_BT[live_BT]
