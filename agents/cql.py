"""CQL with any value loss: Q-learning from a dataset, conservative about what the data does not do.

Kumar et al. 2020, arXiv 2006.04779, CQL(H); offline Atari of arXiv 2403.03950, section 4.1. Legend: B batch,
A actions, K outputs per value.

loss = TD loss + cql_weight (log sum_a exp Q(s, a) - Q(s, a_data)), with Q the decoded means, so that the
second term is the same for every value loss, in units of value. What it does is not: where both terms
balance, the data's action stands above its target by cql_weight (1 - softmax(Q)(a_data)) over the TD loss's
curvature: times 1/2 under MSE, and times the variance of the predicted distribution under cross-entropy,
since softmax's Jacobian, which the cross-entropy cancels, stays in the second term. That is the returns' own
variance with C51, about sigma^2 with HL-Gauss, and next to nothing with Two-Hot: the same weight is most
conservative with C51 and least with Two-Hot. Losses at one weight are therefore not at one strength.

They are at one `cql_strength`: the gradient of every Q is then multiplied by the loss's curvature there
(`ValueLoss.unit_push`), and the height is cql_strength (1 - softmax(Q)(a_data)) for all of them. Under MSE a
strength is a weight of twice as much. It holds up to delta for Huber and half of kappa for quantiles, whose
height is less where returns are spread (`losses/quantile.py`); what pushes further than a loss can hold makes
values grow until softmax(Q) stops it.

`bootstrap="sarsa"` is offline SARSA: the target takes the data's next action in place of the greedy one, so
that the policy that is learned about stays the same. Transitions whose next action nobody knows, because time
was up or a run was cut, are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.feeds.dataset_feed import DatasetFeed
from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.conservative import check_strength, held_back
from catzoo.agents.learning.targets import copy_parameters, target_of
from catzoo.agents.replay import OfflineReplay
from catzoo.hparams import CQLRecipe
from catzoo.losses import ValueLoss, take_action


class CQL(Agent):
    """Conservative Q-learning from a dataset, or SARSA; arguments as `Agent`.

    With `recipe.double` the online network picks the next action; SARSA picks none. Raises RecipeError for a
    `cql_strength` with a loss of one's own that has no `curvature`.
    """

    feed = DatasetFeed
    replay = OfflineReplay

    def __init__(self, network: nn.Module, value_loss: ValueLoss, recipe: CQLRecipe) -> None:
        super().__init__(network, value_loss, recipe)
        check_strength(value_loss, recipe)
        self.target = target_of(network)

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """One Bellman step with the conservative term: (loss [B], TD error [B])."""
        outputs_BAK = self.network(batch.observation)
        bellman = self._sarsa if self.recipe.bootstrap == "sarsa" else self._greedy
        loss_B, td_error_B = bellman(outputs_BAK, batch)
        held_B = held_back(self.value_loss, outputs_BAK, batch.action, self.recipe)
        return loss_B + held_B, td_error_B

    def _greedy(self, outputs_BAK: Tensor, batch: Transitions) -> tuple[Tensor, Tensor]:
        """The Bellman step to the best next action."""
        with torch.no_grad():
            next_BAK = self.target(batch.next_observation)
            online_BAK = self.network(batch.next_observation) if self.recipe.double else None
        return self.value_loss.td(
            outputs_BAK, batch.action, next_BAK, batch.reward, batch.discount, next_online_outputs=online_BAK
        )

    def _sarsa(self, outputs_BAK: Tensor, batch: Transitions) -> tuple[Tensor, Tensor]:
        """The Bellman step between the data's two actions."""
        assert batch.next_action is not None
        with torch.no_grad():
            next_BAK = self.target(batch.next_observation)
        chosen_BK = take_action(outputs_BAK, batch.action)
        next_BK = take_action(next_BAK, batch.next_action)
        return self.value_loss.backup(chosen_BK, next_BK, batch.reward, batch.discount)

    def update_target(self) -> None:
        """Copies the online network into the target network."""
        copy_parameters(self.network, self.target)
