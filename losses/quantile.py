"""Quantile regression: the return's distribution as K of its quantiles, wherever they lie.

QR-DQN, Dabney et al. 2018, arXiv 1710.10044. Its Huber loss is divided by kappa as in IQN (arXiv 1806.06923),
so that kappa changes how round the loss is at zero, and not how steep it is far away.

Shapes: ... any leading dimensions, K quantiles, J points of a target.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from catzoo.kernels.numerics import at_least_float32, counted, nan_unless_finite
from catzoo.losses.base import ValueLoss, check_shape

NARROWEST = 1e-6
"""What kappa counts as where there is none, and all quantiles are one."""


class QuantileRegression(ValueLoss):
    """The quantile Huber loss of K outputs, the values at the midpoints (2 i + 1) / 2 K (eq. 10).

    There is no support: nothing is clamped. A scalar target is a distribution of one point; `td` and `backup`
    compare each quantile with each of the next ones, moved, which takes K x K numbers a row. num_quantiles is
    by default the number of bins of the categorical losses, for a network of the same size; kappa, in units
    of value, is where the loss turns from quadratic to linear, and 0 makes it linear everywhere. Raises
    ValueError for fewer than 2 quantiles and a kappa that is negative or not finite.
    """

    def __init__(self, num_quantiles: int = 51, kappa: float = 1.0) -> None:
        super().__init__()
        if not isinstance(num_quantiles, int) or num_quantiles < 2:
            raise ValueError(f"num_quantiles must be an integer of at least 2, got {num_quantiles!r}")
        if not (math.isfinite(kappa) and kappa >= 0):
            raise ValueError(f"kappa must be finite and not negative, got {kappa}")
        self.num_outputs = num_quantiles
        self.kappa = float(kappa)

    def decode(self, outputs: Tensor) -> Tensor:
        """The mean [...] of the quantiles, outputs [..., K]."""
        self._check_outputs(outputs)
        return at_least_float32(outputs).mean(-1)

    def initial_outputs(self, value: float = 0.0) -> Tensor:
        """K times the value: their gradients differ from the first step on, so that they need no spread."""
        return torch.full((self.num_outputs,), value, dtype=torch.float32, device="cpu")

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss [...] of outputs [..., K] against a target [...], in units of value (above kappa)."""
        self._check_outputs(outputs)
        check_shape("target", target, outputs.shape[:-1])
        return self._loss(outputs, target[..., None])

    def _step(
        self, outputs: Tensor, next_outputs: Tensor, reward: Tensor, discount: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Against the next quantiles, shrunk and moved."""
        with torch.no_grad():
            target_K = reward[..., None] + discount[..., None] * at_least_float32(next_outputs)
            td_error = self.decode(target_K) - self.decode(outputs)
        return self._loss(outputs, target_K), td_error

    def _loss(self, outputs: Tensor, target_J: Tensor) -> Tensor:
        """The sum over outputs [..., K] of their mean loss against constant points [..., J]."""
        quantile_K = at_least_float32(outputs)
        shape = (*quantile_K.shape, target_J.shape[-1])
        quantile_KJ = quantile_K[..., None].expand(shape)
        target_KJ = target_J.detach().to(quantile_K.dtype)[..., None, :].expand(shape)
        if self.kappa:
            size_KJ = F.huber_loss(quantile_KJ, target_KJ, reduction="none", delta=self.kappa) / self.kappa
        else:
            size_KJ = F.l1_loss(quantile_KJ, target_KJ, reduction="none")
        tau_K1 = self._tau(quantile_K)[:, None]
        slope_KJ = torch.where(target_KJ < quantile_KJ, 1 - tau_K1, tau_K1)
        loss = (slope_KJ * size_KJ).mean(-1).sum(-1)
        return nan_unless_finite(loss, loss)

    def unit_push(self, outputs: Tensor) -> Tensor:
        """As `ValueLoss.unit_push`, by a push on each quantile that moves all of them alike.

        One push for all would have no balance: the loss is no steeper than 1 - tau above its target, which
        for the highest is next to nothing. The curvature of each is that for a target distributed as the
        outputs [..., K] are, with two gaps between them for a kappa that is smaller. They are less spread
        than a target within kappa, whose value moves by less than p then: by 2/3 if it is one of two numbers.
        """
        quantile_K = at_least_float32(outputs)
        with torch.no_grad():
            gap_1 = (quantile_K.amax(-1) - quantile_K.amin(-1))[..., None] / self.num_outputs
            reach_1 = (2 * gap_1).clamp(min=self.kappa or NARROWEST)
            above_KK = quantile_K[..., :, None] - quantile_K[..., None, :]
            tau_K1 = self._tau(quantile_K)[:, None]
            slope_KK = tau_K1 + (1 - 2 * tau_K1) * (above_KK.sign() + 1) / 2
            curvature_K = (slope_KK * (above_KK.abs() <= reach_1[..., None])).mean(-1) / reach_1
        return self.decode(quantile_K.detach()) + (curvature_K * (quantile_K - quantile_K.detach())).sum(-1)

    def _tau(self, like: Tensor) -> Tensor:
        """The midpoints [K], in the dtype of a tensor and on its device."""
        return (counted(self.num_outputs, like.device, like.dtype) + 0.5) / self.num_outputs

    def extra_repr(self) -> str:
        return f"num_quantiles={self.num_outputs}, kappa={self.kappa:g}"
