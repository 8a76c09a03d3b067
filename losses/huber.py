"""The Huber loss on one output: DQN's error clipping, as in most public DQN implementations."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from catzoo.losses.base import ScalarLoss


class Huber(ScalarLoss):
    """Half the squared error up to delta, then delta times (distance - delta / 2); one output per value.

    delta is in units of value; ValueError unless it is positive and finite.
    """

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(delta) and delta > 0):
            raise ValueError(f"delta must be positive and finite, got {delta}")
        self.delta = float(delta)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss [...] of outputs [..., 1] against a target [...]."""
        error = self.error(outputs, target)
        return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=self.delta)

    def curvature(self, outputs: Tensor) -> Tensor:
        """1, within delta; a push of more than delta has no balance."""
        return torch.full_like(self.decode(outputs), 1.0)

    def extra_repr(self) -> str:
        return f"delta={self.delta:g}"
