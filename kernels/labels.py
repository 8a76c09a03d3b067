"""Labels: a scalar target as a categorical distribution over bins, whole or as a window around the target.

A label is nearly everywhere zero, so it travels as a `Label`: W probabilities, and their bins.

Deviations from "Stop Regressing" (arXiv 2403.03950): targets are clamped (the printed listing is 0/0 from
about 5.75 sigma outside the support); the Two-Hot and C51 weights of eq. 3.2 and 3.4 are printed swapped,
here the lower bin's weight is (z[i+1] - y) / (z[i+1] - z[i]).

Shapes: ... any leading dimensions, K bins, W bins of a window.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from catzoo.kernels.bins import Bins
from catzoo.kernels.numerics import clamp_or_nan, counted, nan_unless_finite, position_dtype, witness_of_all
from catzoo.kernels.rules import GaussianLabel, NextDistribution, ProjectedLabel, Rule, TwoHotLabel

# Beyond this many sigma a Gaussian holds 1.2e-7 of its mass: the last digit of a float32 next to 1.
WINDOW_SIGMAS = 5.3
# So many times a window's bins must there be for it to save time.
WORTH_A_WINDOW = 2
# erf(1e30 * distance) is a step, and still finite, so that a target on an edge is not 0 * inf.
STEEPEST = 1e30


Label = tuple[Tensor, Tensor | None]
"""W probabilities [..., W] of a distribution over K bins, and the bins [..., W]; None when they are all K."""

LabelFunction = Callable[[Any], Label]
"""A target to its label."""


def dense(label: Label, num_bins: int) -> Tensor:
    """The whole distribution [..., K] of a label."""
    probs_W, bins_W = label
    if bins_W is None:
        return probs_W
    return probs_W.new_zeros(*probs_W.shape[:-1], num_bins).scatter(-1, bins_W, probs_W)


def label_function(
    rule: Rule, dtype: torch.dtype, device: torch.device, windowed: bool = False
) -> LabelFunction:
    """What makes labels by a rule, with its tensors on a device; windows if wanted and if they save time."""
    if isinstance(rule, GaussianLabel):
        if not rule.is_clamped:
            return _unclamped_gaussian(rule, dtype, device)
        return _gaussian(rule, dtype, device, windowed)
    if isinstance(rule, TwoHotLabel):
        return _two_hot(rule.bins, dtype, device)
    if isinstance(rule, ProjectedLabel):
        return lambda target: (_projected(target, rule.bins, dtype), None)
    return lambda target: (target.to(dtype), None)


def _gaussian(rule: GaussianLabel, dtype: torch.dtype, device: torch.device, windowed: bool) -> LabelFunction:
    """The Gaussian of width sigma around the clamped value [...], integrated over each bin (section 3.1).

    Right to 1e-6 in float32, for the value and the ends of the clamp as the dtype rounds them.
    """
    (low, high), slope = rule.value_range, min(1 / (rule.sigma * math.sqrt(2)), STEEPEST)
    exact = rule.bins.edge_tensor(position_dtype(device), device)
    edges = exact.to(dtype)
    rest = ((exact - edges) * slope).to(dtype)  # what rounding loses grows with K
    window = _window(rule, slope, dtype, device) if windowed else None

    def label(value: Tensor) -> Label:
        if value.dtype != dtype:
            if value.dtype == torch.float64:  # to round the value would lose as much
                probs_W, bins_W = _gaussian(rule, torch.float64, device, windowed)(value)
                return probs_W.to(dtype), bins_W
            value = value.to(dtype)
        value = torch.add(torch.clamp(value, low, high), value, alpha=0).unsqueeze(-1)  # `clamp_or_nan`
        if window is None:
            z, bins_W = torch.add(rest, edges - value, alpha=slope), None
        else:
            z, bins_W = window(value)
        mass = z.erf_().diff()
        return mass.div_(mass.sum(-1, True)), bins_W

    return label


def _window(
    rule: GaussianLabel, slope: float, dtype: torch.dtype, device: torch.device
) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
    """A value [..., 1] → slope times the distances [..., W + 1] to the edges of a window around it; its bins.

    The window holds the label to float32 precision, wherever in a bin the value is. None if it saves nothing.
    """
    bins, width = rule.bins, rule.bins.width
    before = math.ceil(min(WINDOW_SIGMAS * rule.sigma / width, bins.num_bins))
    size = 2 * before + 1
    if dtype != torch.float32 or not bins.is_uniform or WORTH_A_WINDOW * size > bins.num_bins:
        return None
    exact, count = position_dtype(device), counted(size + 1, device)
    shift = torch.full((1,), -bins.edge_min / width - before, dtype=exact, device=device)
    slope = slope * width
    edges = (count - before).to(exact) * slope
    bins_W, last = count[:-1], bins.num_bins - size

    def window(value: Tensor) -> tuple[Tensor, Tensor]:
        position = torch.add(shift, value, alpha=1 / width)  # in bins from the window's first
        # Cut towards zero, which the clamp makes the floor. A NaN has no integer: it stays in the position.
        first = position.long().clamp_(0, last)
        return torch.sub(edges, position - first, alpha=slope).to(dtype), first + bins_W

    return window


def _unclamped_gaussian(rule: GaussianLabel, dtype: torch.dtype, device: torch.device) -> LabelFunction:
    """The same for targets outside the bins too."""
    exact = position_dtype(device)
    edges = rule.bins.edge_tensor(exact, device)

    def label(value: Tensor) -> Label:
        value = clamp_or_nan(value.to(exact), *rule.value_range)
        return tails(value, edges, rule.sigma).to(dtype), None

    return label


def tails(value: Tensor, edges: Tensor, sigma: float) -> Tensor:
    """The Gaussian around value [...] truncated to increasing edges [K+1], right far outside them too.

    The mass of a bin is a difference of tails on the side where they are small (erfc mirrored at the
    value), in units of the nearest edge's density, so that nothing cancels or underflows.
    """
    z = (edges - value[..., None]) * min(1 / (sigma * math.sqrt(2)), STEEPEST)
    nearest = torch.maximum(z[..., :1], -z[..., -1:]).clamp(min=0)  # 0 inside the support
    tail = torch.special.erfcx(z.abs()) * torch.exp((nearest - z.abs()) * (nearest + z.abs()))
    left, right = tail[..., :-1], tail[..., 1:]
    holds_value = (z[..., :-1] < 0) & (z[..., 1:] > 0)
    mass = torch.where(holds_value, 2 - left - right, (left - right).abs())
    return mass / mass.sum(dim=-1, keepdim=True)


def _two_hot(bins: Bins, dtype: torch.dtype, device: torch.device) -> LabelFunction:
    """The two nearest centers share the mass so that the mean is the value [...] clipped to the centers."""
    low, high = bins.center_range
    centers_K, pair = bins.center_tensor(dtype, device), counted(2, device)
    inner = centers_K[1:-1]

    def label(value: Tensor) -> Label:
        value = clamp_or_nan(value.to(dtype), low, high).contiguous()
        lower = torch.searchsorted(inner, value, right=True)  # a NaN comes last
        # Indexed as a pair: a single sample's index, of no dimensions, would be read back to the host.
        bins_2 = lower.unsqueeze(-1) + pair
        below, above = centers_K[bins_2].unbind(-1)
        share = (value - below) / (above - below)
        return torch.stack((1 - share, share), -1), bins_2

    return label


def _projected(target: NextDistribution, bins: Bins, dtype: torch.dtype) -> Tensor:
    """The label of C51; NaN where a logit, the reward or the discount is not finite."""
    logits_K, reward, discount = target.logits.to(dtype), target.reward, target.discount
    probs_K = nan_unless_finite(torch.softmax(logits_K, -1), witness_of_all(logits_K).unsqueeze(-1))
    for move in (reward, discount):
        probs_K = nan_unless_finite(probs_K, move.to(dtype).unsqueeze(-1))
    return c51(probs_K, reward, discount, bins)


def c51(probs_K: Tensor, reward: Tensor, discount: Tensor, bins: Bins) -> Tensor:
    """The distribution [..., K] of the clipped atoms reward + discount * centers, projected to the centers.

    C51's (arXiv 1707.06887, eq. 7). probs_K [..., K] are the atoms'; a NaN in them stays.
    """
    if bins.is_uniform:
        share_K, lower_K = _shifted(reward, discount, bins, probs_K.dtype)
    else:
        centers_K = bins.center_tensor(probs_K.dtype, probs_K.device)
        atoms_K = reward.unsqueeze(-1) + discount.unsqueeze(-1) * centers_K
        probs_K2, bins_K2 = _two_hot(bins, probs_K.dtype, probs_K.device)(atoms_K)
        assert bins_K2 is not None
        share_K, lower_K = probs_K2[..., 1], bins_K2[..., 0]
    above_K = probs_K * share_K
    projected_K = torch.zeros_like(above_K).scatter_add_(-1, lower_K, probs_K - above_K)
    return projected_K.scatter_add_(-1, lower_K + 1, above_K)


def _shifted(reward: Tensor, discount: Tensor, bins: Bins, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Where the atoms land among equal bins: the upper center's share [..., K], the lower center [..., K].

    A search among the centers takes four times as long.
    """
    exact = position_dtype(reward.device)
    step = discount.to(exact)
    # In bins; exact where nothing moves.
    first = torch.add(reward.to(exact), step - 1, alpha=bins.center_range[0]) / bins.width
    atoms_K = counted(bins.num_bins, reward.device, exact)
    position_K = torch.addcmul(first.unsqueeze(-1), step.unsqueeze(-1), atoms_K).clamp(0, bins.num_bins - 1)
    lower_K = position_K.long().clamp(0, bins.num_bins - 2)  # a NaN has no integer
    return (position_K - lower_K).to(dtype), lower_K
