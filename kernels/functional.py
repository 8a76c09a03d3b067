"""The public functions: arguments checked by shape and dtype (no host sync), then handed to a backend.

Every function takes any leading dimensions, computes in float32 at least (float64 for float64 logits),
returns one number per sample without reduction, and gives NaN where a target or a logit is NaN or infinite.
Targets and labels are constants: gradients flow to the logits only, in the logits' dtype.

Shapes: ... any leading dimensions, K bins.
"""

import math

import torch
from torch import Tensor

from catzoo.kernels import labels
from catzoo.kernels.backend import IMPLEMENTATIONS, Implementation, resolve_backend
from catzoo.kernels.numerics import compute_dtype


def hl_gauss_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    edge_min: float,
    edge_max: float,
    sigma: float,
    clamp: tuple[float, float] | None = None,
    backend: str = "auto",
) -> Tensor:
    """Cross-entropy to the Gaussian around the target, integrated over K equal bins (arXiv 2403.03950, 3.1).

    logits [..., K], target [...] → loss [...]. `edge_min` and `edge_max` are the outermost edges and
    `sigma` the Gaussian's width, all in the target's units; targets are clamped to `clamp`, by default the
    outermost edges. Raises ValueError for bad shapes, dtypes, edges, sigma or backend.
    """
    _check_logits(logits, "target", target)
    clamp = _check_gauss(logits.shape[-1], edge_min, edge_max, sigma, clamp)
    chosen = _implementation(backend, logits)
    return chosen.hl_gauss_cross_entropy(logits, target, edge_min, edge_max, sigma, clamp)


def two_hot_cross_entropy(
    logits: Tensor, target: Tensor, centers: Tensor, *, backend: str = "auto"
) -> Tensor:
    """Cross-entropy to the two-hot label of the target (arXiv 2403.03950, eq. 3.2 with its weights in order).

    logits [..., K], target [...] in the units of the increasing centers [K] → loss [...]. Targets are
    clipped to the outermost centers. Raises ValueError for bad shapes, dtypes or backend.
    """
    _check_logits(logits, "target", target)
    _check_centers(logits.shape[-1], centers)
    return _implementation(backend, logits).two_hot_cross_entropy(logits, target, _as(logits, centers))


def soft_label_cross_entropy(logits: Tensor, label: Tensor, *, backend: str = "auto") -> Tensor:
    """Cross-entropy of logits [..., K] to a label [..., K] that sums to one → loss [...].

    Raises ValueError for bad shapes, dtypes or backend.
    """
    _check_floating("logits", logits)
    _check_floating("label", label)
    _check_shape("label", label, logits.shape)
    return _implementation(backend, logits).soft_label_cross_entropy(logits, label)


def c51_cross_entropy(
    logits: Tensor,
    next_logits: Tensor,
    reward: Tensor,
    discount: Tensor,
    centers: Tensor,
    *,
    backend: str = "auto",
) -> Tensor:
    """Cross-entropy to the projected distribution of reward + discount * Z' (C51, arXiv 1707.06887, eq. 7).

    logits and next_logits [..., K], reward and discount [...], increasing centers [K] → loss [...]. Raises
    ValueError for bad shapes, dtypes or backend.
    """
    _check_logits(logits, "reward", reward)
    _check_floating("next_logits", next_logits)
    _check_shape("next_logits", next_logits, logits.shape)
    _check_shape("discount", discount, reward.shape)
    _check_centers(logits.shape[-1], centers)
    chosen = _implementation(backend, logits)
    return chosen.c51_cross_entropy(logits, next_logits, reward, discount, _as(logits, centers))


def categorical_value(logits: Tensor, centers: Tensor, *, backend: str = "auto") -> Tensor:
    """The mean of softmax(logits [..., K]) over the centers [K] → value [...], in the centers' units."""
    _check_floating("logits", logits)
    _check_centers(logits.shape[-1] if logits.ndim else 0, centers)
    return _implementation(backend, logits).categorical_value(logits, _as(logits, centers))


def hl_gauss_label(
    value: Tensor,
    num_bins: int,
    *,
    edge_min: float,
    edge_max: float,
    sigma: float,
    clamp: tuple[float, float] | None = None,
) -> Tensor:
    """The label of `hl_gauss_cross_entropy` for value [...] → probabilities [..., num_bins], whole."""
    clamp = _check_gauss(num_bins, edge_min, edge_max, sigma, clamp)
    return labels.hl_gauss(
        value,
        num_bins,
        edge_min=edge_min,
        edge_max=edge_max,
        sigma=sigma,
        clamp=clamp,
        window=num_bins,
        dtype=compute_dtype(value),
    ).probs


def two_hot_label(value: Tensor, centers: Tensor) -> Tensor:
    """The label of `two_hot_cross_entropy` for value [...] → probabilities [..., K]."""
    _check_centers(centers.shape[-1] if centers.ndim else 0, centers)
    label = labels.two_hot(value, _as(value, centers))
    return labels.dense(label.probs, label.bins(), centers.shape[-1])


def c51_label(next_logits: Tensor, reward: Tensor, discount: Tensor, centers: Tensor) -> Tensor:
    """The label of `c51_cross_entropy`: logits [..., K], reward and discount [...] → label [..., K]."""
    _check_logits(next_logits, "reward", reward, logits_name="next_logits")
    _check_shape("discount", discount, reward.shape)
    _check_centers(next_logits.shape[-1], centers)
    return labels.c51(next_logits, reward, discount, _as(next_logits, centers))


def _implementation(backend: str, logits: Tensor) -> Implementation:
    return IMPLEMENTATIONS[resolve_backend(backend, logits.device)]


def _as(like: Tensor, centers: Tensor) -> Tensor:
    """The centers in the dtype of the computation."""
    return centers.to(compute_dtype(like))


def _check_floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {x.dtype}")


def _check_shape(name: str, x: Tensor, shape: torch.Size) -> None:
    if x.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(x.shape)}")


def _check_logits(logits: Tensor, name: str, scalar: Tensor, logits_name: str = "logits") -> None:
    _check_floating(logits_name, logits)
    if logits.ndim == 0 or logits.shape[-1] < 2:
        raise ValueError(f"{logits_name} must have shape [..., K] with K >= 2, got {list(logits.shape)}")
    _check_shape(name, scalar, logits.shape[:-1])


def _check_centers(num_bins: int, centers: Tensor) -> None:
    if centers.ndim != 1 or centers.shape[0] != num_bins or num_bins < 2:
        raise ValueError(
            f"centers must have shape [{num_bins}] as logits' last dimension, got {list(centers.shape)}"
        )


def _check_gauss(
    num_bins: int, edge_min: float, edge_max: float, sigma: float, clamp: tuple[float, float] | None
) -> tuple[float, float]:
    if num_bins < 2:
        raise ValueError(f"num_bins must be at least 2, got {num_bins}")
    if not (math.isfinite(edge_min) and math.isfinite(edge_max) and edge_min < edge_max):
        raise ValueError(f"edge_min must be below edge_max, both finite; got {edge_min} and {edge_max}")
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be positive and finite, got {sigma}")
    low, high = clamp = clamp or (edge_min, edge_max)
    if not edge_min <= low <= high <= edge_max:
        raise ValueError(f"clamp must lie inside the edges [{edge_min}, {edge_max}], got {clamp}")
    return clamp
