"""Arithmetic on tensors: labels, categorical cross-entropies and values, and the choice of their backend."""

from catzoo.kernels.backend import Backend, check_backend, resolve_backend
from catzoo.kernels.functional import (
    c51_cross_entropy,
    c51_label,
    categorical_value,
    hl_gauss_cross_entropy,
    hl_gauss_label,
    soft_label_cross_entropy,
    two_hot_cross_entropy,
    two_hot_label,
)

__all__ = [
    "Backend",
    "c51_cross_entropy",
    "c51_label",
    "categorical_value",
    "check_backend",
    "hl_gauss_cross_entropy",
    "hl_gauss_label",
    "resolve_backend",
    "soft_label_cross_entropy",
    "two_hot_cross_entropy",
    "two_hot_label",
]
