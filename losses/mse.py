"""The squared error on one output: what the paper compares against, so without the factor of one half."""

from torch import Tensor

from catzoo.kernels.numerics import at_least_float32, nan_unless_finite
from catzoo.losses.base import ValueLoss


class ScalarLoss(ValueLoss):
    """A value loss whose one output is the value."""

    def __init__(self) -> None:
        super().__init__()
        self.num_outputs = 1

    def decode(self, outputs: Tensor) -> Tensor:
        """The value [...] of outputs [..., 1]: themselves."""
        self._check_outputs(outputs)
        return at_least_float32(outputs[..., 0])

    def error(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The value [...] minus the target [...], NaN where either is not finite."""
        return value_error(self.decode(outputs), target)


def value_error(value: Tensor, target: Tensor) -> Tensor:
    """value [...] minus the constant target [...], NaN if one is not finite; ValueError if shapes differ."""
    if target.shape != value.shape:
        raise ValueError(f"target must have shape {list(value.shape)}, got {list(target.shape)}")
    error = value - target.detach()
    return nan_unless_finite(error, error)


class MSE(ScalarLoss):
    """(value - target)^2, one output per value (arXiv 2403.03950, eq. 2.1)."""

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The squared error [...] of outputs [..., 1] against a target [...], in squared units of value."""
        return self.error(outputs, target).square()
