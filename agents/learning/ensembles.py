"""A Bellman step of several critics to one target.

Legend: B batch, E critics, K outputs per value.
"""

from __future__ import annotations

from torch import Tensor

from catzoo.agents.learning.batches import Transitions
from catzoo.losses import ValueLoss


def backup_ensemble(
    value_loss: ValueLoss, outputs_EBK: Tensor, next_BK: Tensor, reward_B: Tensor, batch: Transitions
) -> tuple[Tensor, Tensor]:
    """The sum of the critics' losses [B], and the mean size of their TD errors [B]: errors of two signs would
    cancel in a priority.

    Args:
        value_loss: of all of them.
        outputs_EBK: of each critic for the batch's actions.
        next_BK: what all of them learn from, pooled.
        reward_B: with what is counted beside the batch's own.
        batch: with discounts, and weights that multiply the loss.
    """
    rows = outputs_EBK.shape[:-1]
    weight = None if batch.weight is None else batch.weight.expand(rows)
    loss_EB, td_error_EB = value_loss.backup(
        outputs_EBK, next_BK.expand_as(outputs_EBK), reward_B.expand(rows), batch.discount.expand(rows),
        weight=weight,
    )  # fmt: skip
    return loss_EB.sum(0), td_error_EB.abs().mean(0)
