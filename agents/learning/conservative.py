"""The conservative term of Q-learning from data (Kumar et al. 2020, arXiv 2006.04779); `cql.py` has its law.

Legend: A actions, K outputs per value; leading dimensions are a batch's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from catzoo.hparams import RecipeError
from catzoo.losses import ValueLoss
from catzoo.losses.base import says


def check_strength(value_loss: ValueLoss, recipe: Any) -> None:
    """Refuses a `cql_strength` for a loss that does not say its curvature.

    Raises:
        RecipeError: names the loss.
    """
    if recipe.cql_strength is not None and not says(value_loss, "curvature", "unit_push"):
        raise RecipeError(
            f"cql_strength: {type(value_loss).__name__} does not say its curvature: give cql_weight"
        )


def held_back(
    value_loss: ValueLoss, outputs: Tensor, action: Tensor, recipe: Any, allowed: Tensor | None = None
) -> Tensor:
    """weight (log sum_a exp Q(s, a) - Q(s, a_data)) [...].

    Args:
        value_loss: whose outputs these are.
        outputs: [..., A, K].
        action: [...], the data's.
        recipe: with `cql_weight` and `cql_strength`.
        allowed: [..., A], bool, the actions that the sum is over; None: all.
    """
    if recipe.cql_strength is None:
        weight, value = recipe.cql_weight, value_loss.decode(outputs)
    else:
        weight, value = recipe.cql_strength, value_loss.unit_push(outputs)
    chosen = value.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    if allowed is not None:
        value = value.masked_fill(~allowed, -torch.inf)
    return weight * (value.logsumexp(-1) - chosen)
