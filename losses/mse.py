"""The squared error on one output: what the paper compares against, so without the factor of one half."""

import torch
from torch import Tensor

from catzoo.losses.base import ScalarLoss


class MSE(ScalarLoss):
    """(value - target)^2, one output per value (arXiv 2403.03950, eq. 2.1)."""

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The squared error [...] of outputs [..., 1] against a target [...], in squared units of value."""
        return self.error(outputs, target).square()

    def curvature(self, outputs: Tensor) -> Tensor:
        """2: the squared error has no half."""
        return torch.full_like(self.decode(outputs), 2.0)
