"""Arithmetic on tensors: labels, categorical cross-entropies and values, and the choice of their backend."""

from catzoo.kernels.backend import Backend, check_backend, resolve_backend
from catzoo.kernels.bins import Bins
from catzoo.kernels.functional import (
    c51_cross_entropy,
    categorical_td,
    categorical_td_and_grad,
    categorical_value,
    cross_entropy,
    greedy_action,
    hl_gauss_cross_entropy,
    label,
    loss_and_grad,
    soft_label_cross_entropy,
    two_hot_cross_entropy,
)
from catzoo.kernels.last_layer import LastLayer
from catzoo.kernels.linear import linear_cross_entropy, linear_loss_and_grad
from catzoo.kernels.rules import (
    GaussianLabel,
    GivenLabel,
    NextDistribution,
    ProjectedLabel,
    Rule,
    TwoHotLabel,
    ValueRule,
)
from catzoo.kernels.td import TDResult

__all__ = [
    "Backend",
    "Bins",
    "GaussianLabel",
    "GivenLabel",
    "LastLayer",
    "NextDistribution",
    "ProjectedLabel",
    "Rule",
    "TDResult",
    "TwoHotLabel",
    "ValueRule",
    "c51_cross_entropy",
    "categorical_td",
    "categorical_td_and_grad",
    "categorical_value",
    "check_backend",
    "cross_entropy",
    "greedy_action",
    "hl_gauss_cross_entropy",
    "label",
    "linear_cross_entropy",
    "linear_loss_and_grad",
    "loss_and_grad",
    "resolve_backend",
    "soft_label_cross_entropy",
    "two_hot_cross_entropy",
]
