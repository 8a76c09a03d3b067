"""A support that adapts: its ends follow the targets, at the same number of bins.

It begins narrow around the initial value. After AHL-Gaussian (OpenReview cGu5LtGcRD), which starts with a
confined interval and moves it to keep the projection error small, and "Learning the Supports for Categorical
Critic" (arXiv 2607.01880), which learns both ends under a constraint on how much of the labels' mass they
cover. Of both only abstracts and summaries were at hand. Here ends move rarely and by a factor, so that bins
stay constant numbers for the kernels, and heads are re-projected when they do (`reprojection.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from catzoo.hparams.recipe import ADAPTIVE
from catzoo.losses import CategoricalLoss, ValueLoss, make_value_loss

Ends = tuple[float, float]
"""v_min and v_max."""
NEAR = 0.025
"""A target so close to an end, in shares of the range, is one that the support is too short for: labels are
truncated there, and pull values inwards."""
GROWTH = 4
"""By which a range is multiplied that is too short. With less there are more moves, and bins that are far
narrower than the values to come, which learn slowly: 2 was worse (`zoo/results/README.md`)."""
MARGIN = 0.05
"""Share of the range that is left beyond the targets at both ends when it moves."""
NARROW = 1 / 8
"""A support is too wide if the targets need less than this share of it."""
FINEST = 1 / 64
"""It is never narrower than this share of what it began with: without rewards all targets are alike."""


class AdaptiveSupport(nn.Module):
    """The ends of an agent's support, as a buffer, and so a part of its weights.

    Args:
        name, arguments: of the value loss; v_min and v_max are where the ends begin.
        initial_value: where a reset begins again, or None.
    """

    ends: Tensor

    def __init__(self, name: str, arguments: Mapping[str, Any], initial_value: float | None) -> None:
        super().__init__()
        self.name, self.arguments, self.initial_value = name, dict(arguments), initial_value
        self.register_buffer("ends", torch.tensor([arguments["v_min"], arguments["v_max"]]))
        self.finest = FINEST * (arguments["v_max"] - arguments["v_min"])
        """The narrowest range that it may have."""

    def settle(self, loss: CategoricalLoss, network: nn.Module) -> None:
        """Gives an agent's value loss these ends, and its network's head the start that goes with them.

        Raises:
            ValueError: ends that are none, from a damaged file.
        """
        v_min, v_max = self.ends.tolist()
        if (v_min, v_max) != (loss.support.v_min, loss.support.v_max):
            loss.become(make_value_loss(self.name, **{**self.arguments, "v_min": v_min, "v_max": v_max}))
        head = network.head.parts[0]
        if head.initial_outputs is not None:
            value = min(max(self.initial_value or 0.0, v_min), v_max)
            head.initial_outputs.copy_(loss.initial_outputs(value))


def adaptive_support(value_loss: ValueLoss, recipe: Any) -> AdaptiveSupport | None:
    """What an agent's recipe wants; None for another kind of support, or a loss without one."""
    if getattr(recipe, "support", None) != ADAPTIVE or not isinstance(value_loss, CategoricalLoss):
        return None
    return AdaptiveSupport(recipe.value_loss.name, recipe.value_loss.arguments(), recipe.initial_value)


def grown(ends: Ends, low: float, high: float) -> Ends:
    """Ends that hold targets from `low` to `high`: as they were if they do, else longer that way."""
    v_min, v_max = ends
    span = v_max - v_min
    down, up = low < v_min + NEAR * span, high > v_max - NEAR * span
    if not (down or up):
        return ends
    while (too_high := up and high > v_max - MARGIN * span) or (down and low < v_min + MARGIN * span):
        more = (GROWTH - 1) * span
        v_min, v_max = (v_min, v_max + more) if too_high else (v_min - more, v_max)
        span *= GROWTH
    # A longer range has wider bins, and so a wider margin at the end that did not move too.
    return min(v_min, low - MARGIN * span), max(v_max, high + MARGIN * span)


def halved(ends: Ends, low: float, high: float) -> Ends:
    """Half the range, within the old one, around targets from `low` to `high`."""
    v_min, v_max = ends
    half = (v_max - v_min) / 2
    v_min = min(max((low + high - half) / 2, v_min), v_max - half)
    return v_min, v_min + half
