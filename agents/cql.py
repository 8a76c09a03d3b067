"""CQL with any value loss: Q-learning from a dataset, conservative about what the data does not do.

Kumar et al. 2020, arXiv 2006.04779, CQL(H); offline Atari of arXiv 2403.03950, section 4.1. Legend: B batch,
A actions, K outputs per value.

loss = TD loss + cql_weight (log sum_a exp Q(s, a) - Q(s, a_data)), with Q the decoded means, so that the
second term is the same for every value loss, in units of value. What it does is not: where both terms
balance, the data's action stands above its target by cql_weight (1 - softmax(Q)(a_data)) times 1/2 under
MSE, and times the variance of the predicted distribution under cross-entropy, since softmax's Jacobian,
which the cross-entropy cancels, stays in the second term. That is the returns' own variance with C51, about
sigma^2 with HL-Gauss, and next to nothing with Two-Hot: the same weight is most conservative with C51 and
least with Two-Hot. Losses at one weight are therefore not at one strength.

`bootstrap="sarsa"` is offline SARSA: the target takes the data's next action in place of the greedy one, so
that the policy that is learned about stays the same. Transitions whose next action nobody knows, because time
was up or a run was cut, are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from catzoo.agents.agent import TrainingOptions
from catzoo.agents.dqn import DQN
from catzoo.agents.feeds.dataset_feed import OfflineAgent
from catzoo.agents.replay import Batch
from catzoo.losses import ValueLoss

BOOTSTRAPS = ("max", "sarsa")


class CQL(OfflineAgent, DQN):
    """Conservative Q-learning from a dataset.

    Args:
        network: observation [B, ...] to outputs [B, A, K].
        value_loss: K = `value_loss.num_outputs`.
        options: how to learn, `dataset` from what.
        double: Double Q-learning: the online network picks the next action; SARSA picks none.
        cql_weight: of the conservative term, at least 0.
        bootstrap: `max` or `sarsa`.

    Raises:
        ValueError: another bootstrap.
    """

    def __init__(
        self,
        network: nn.Module,
        value_loss: ValueLoss,
        options: TrainingOptions | None = None,
        *,
        double: bool = False,
        cql_weight: float = 0.1,
        bootstrap: str = "max",
    ) -> None:
        if bootstrap not in BOOTSTRAPS:
            raise ValueError(f"bootstrap={bootstrap!r} must be one of {', '.join(BOOTSTRAPS)}")
        super().__init__(network, value_loss, options, double=double)
        self.cql_weight, self.bootstrap = cql_weight, bootstrap

    @property
    def needs_next_actions(self) -> bool:
        """Whether `update` reads `batch.next_action`."""
        return self.bootstrap == "sarsa"

    def update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One Bellman step with the conservative term: (loss [B], TD error [B])."""
        outputs_BAK = self.network(batch.observation)
        with torch.no_grad():
            next_BAK = self.target(batch.next_observation)
            double = self.double and self.bootstrap == "max"
            online_BAK = self.network(batch.next_observation) if double else None
        if self.bootstrap == "sarsa":
            loss_B, td_error_B = self._sarsa(outputs_BAK, next_BAK, batch)
        else:
            loss_B, td_error_B = self.value_loss.td(
                outputs_BAK,
                batch.action,
                next_BAK,
                batch.reward,
                batch.discount,
                next_online_outputs=online_BAK,
            )
        value_BA = self.value_loss.decode(outputs_BAK)
        chosen_B = value_BA.gather(-1, batch.action[:, None])[:, 0]
        return loss_B + self.cql_weight * (value_BA.logsumexp(-1) - chosen_B), td_error_B

    def _sarsa(self, outputs_BAK: Tensor, next_BAK: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The Bellman step between the data's two actions: with one to choose from, the best is that one."""
        assert batch.next_action is not None
        return self.value_loss.td(
            _only(outputs_BAK, batch.action),
            torch.zeros_like(batch.action),
            _only(next_BAK, batch.next_action),
            batch.reward,
            batch.discount,
        )


def _only(outputs_BAK: Tensor, action_B: Tensor) -> Tensor:
    """The outputs [B, 1, K] of one action a row."""
    index_B1K = action_B[:, None, None].expand(-1, 1, outputs_BAK.shape[-1])
    return outputs_BAK.gather(1, index_B1K)
