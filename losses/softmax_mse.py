"""The squared error on a softmax head's mean: the paper's ablation, the head without the cross-entropy."""

import torch
from torch import Tensor

from catzoo.losses.base import CategoricalLoss, value_error
from catzoo.losses.support import Align, Spacing, Support


class SoftmaxMSE(CategoricalLoss):
    """(mean of the softmax - target)^2 (arXiv 2403.03950, section 5.1.1); targets are not clamped.

    v_min and v_max are in units of value. Raises ValueError for a bad support.
    """

    def __init__(
        self,
        v_min: float = -10.0,
        v_max: float = 10.0,
        num_bins: int = 51,
        align: Align = "centers",
        spacing: Spacing = "uniform",
    ) -> None:
        super().__init__(Support(v_min, v_max, num_bins, align, spacing=spacing))

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The squared error [...] of logits [..., K] against a target [...], in squared units of value."""
        return value_error(self.decode(outputs), target).square()

    def curvature(self, outputs: Tensor) -> Tensor:
        """2, as MSE's: softmax's Jacobian stands in both gradients."""
        return torch.full_like(self.decode(outputs), 2.0)
