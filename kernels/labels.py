"""Labels: a scalar target as a categorical distribution over bins, whole or as a window around the target.

A label is nearly everywhere zero, so it travels as a `Label`: the probabilities of W consecutive bins and the
bin at which they start. W = K is the whole distribution and has no start.

Deviations from "Stop Regressing" (arXiv 2403.03950): targets are clamped (the printed listing is 0/0 from
about 5.75 sigma outside the support); the Two-Hot and C51 weights of eq. 3.2 and 3.4 are printed swapped,
here the lower bin's weight is (z[i+1] - y) / (z[i+1] - z[i]).

Shapes: ... any leading dimensions, K bins, W bins of a window.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from catzoo.kernels.numerics import at_least_float32, clamp_or_nan, nan_unless_finite, position_dtype

# Beyond this many sigma a Gaussian holds 2e-9 of its mass: less than float32 can add to 1.
WINDOW_SIGMAS = 6.0
# erf(1e30 * distance) is a step, and still finite, so that a target on an edge is not 0 * inf.
STEEPEST = 1e30


class Label(NamedTuple):
    """W consecutive probabilities of a distribution over K bins; `start` is None when W = K."""

    probs: Tensor
    start: Tensor | None

    def bins(self) -> Tensor | None:
        """The bins [..., W] that the probabilities belong to; None when they are all of them."""
        if self.start is None:
            return None
        return self.start.unsqueeze(-1) + torch.arange(self.probs.shape[-1], device=self.start.device)


def dense(probs_W: Tensor, bins_W: Tensor | None, num_bins: int) -> Tensor:
    """The whole distribution [..., K] of a window."""
    if bins_W is None:
        return probs_W
    return probs_W.new_zeros(*probs_W.shape[:-1], num_bins).scatter(-1, bins_W, probs_W)


def hl_gauss_window(bin_width: float, sigma: float) -> int:
    """The number of bins that hold a Gaussian label to float32 precision, wherever in a bin the target is."""
    return 2 * math.ceil(min(WINDOW_SIGMAS * sigma / bin_width, 1e9)) + 1


def hl_gauss(
    value: Tensor,
    num_bins: int,
    *,
    edge_min: float,
    edge_max: float,
    sigma: float,
    clamp: tuple[float, float],
    window: int,
    dtype: torch.dtype,
) -> Label:
    """The Gaussian of width sigma around the clamped value [...], integrated over each bin (section 3.1).

    Distances to the edges are taken in float64 and only then rounded: in float32 the rounding of
    `edge - value` would grow with the number of bins.
    """
    width = (edge_max - edge_min) / num_bins
    exact = position_dtype(value.device)
    value = clamp_or_nan(value.to(exact), *clamp)
    start = None
    if window < num_bins:
        # A NaN has no integer: it stays in the value, and the start is any valid one.
        first = ((value - edge_min) / width).floor() - window // 2
        first = first.nan_to_num(nan=0.0).clamp(0, num_bins - window)
        value, start, edge_max = value - first * width, first.long(), edge_min + window * width
    edges = torch.linspace(edge_min, edge_max, window + 1, dtype=exact, device=value.device)
    slope = min(1 / (sigma * math.sqrt(2)), STEEPEST) if sigma > 0 else STEEPEST
    cdf = torch.erf((edges - value.unsqueeze(-1)).to(dtype) * slope)
    probs = cdf.diff(dim=-1)
    return Label(probs / probs.sum(dim=-1, keepdim=True), start)


def two_hot(value: Tensor, centers_K: Tensor) -> Label:
    """The two nearest centers share the mass so that the mean is the value [...] clipped to the centers."""
    value = clamp_or_nan(value.to(centers_K.dtype), centers_K[0], centers_K[-1])
    upper = torch.searchsorted(centers_K, value, right=True).clamp(1, centers_K.shape[0] - 1)
    # Indexed as a pair: a single sample's index, of no dimensions, would be read back to the host.
    below, above = centers_K[torch.stack((upper - 1, upper), dim=-1)].unbind(dim=-1)
    share = (value - below) / (above - below)
    return Label(torch.stack((1 - share, share), dim=-1), upper - 1)


def c51_projection(probs_K: Tensor, atoms_K: Tensor, centers_K: Tensor) -> Tensor:
    """The distribution of clipped atoms [..., K] of these probabilities, projected to the centers (C51)."""
    shares, lower = two_hot(atoms_K, centers_K)
    assert lower is not None
    mass_K2 = probs_K[..., None] * shares
    empty_K = torch.zeros_like(mass_K2[..., 0])
    return empty_K.scatter_add(-1, lower, mass_K2[..., 0]).scatter_add(-1, lower + 1, mass_K2[..., 1])


def c51(next_logits_K: Tensor, reward: Tensor, discount: Tensor, centers_K: Tensor) -> Tensor:
    """The distribution of reward + discount * Z' projected to the centers; a not-finite logit gives NaN."""
    logits_K = at_least_float32(next_logits_K)
    probs_K = nan_unless_finite(torch.softmax(logits_K, dim=-1), logits_K.sum(dim=-1, keepdim=True))
    atoms_K = reward[..., None] + discount[..., None] * centers_K
    return c51_projection(probs_K.to(centers_K.dtype), atoms_K, centers_K)
