"""Labels: a scalar target as a categorical distribution over bins, whole or as a window around the target.

A label is nearly everywhere zero, so it travels as a `Label`: the probabilities of W bins, and which ones.

Deviations from "Stop Regressing" (arXiv 2403.03950): targets are clamped (the printed listing is 0/0 from
about 5.75 sigma outside the support); the Two-Hot and C51 weights of eq. 3.2 and 3.4 are printed swapped,
here the lower bin's weight is (z[i+1] - y) / (z[i+1] - z[i]).

Shapes: ... any leading dimensions, K bins, W bins of a window.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from catzoo.kernels.bins import Bins
from catzoo.kernels.numerics import clamp_or_nan, counted, position_dtype
from catzoo.kernels.rules import GaussianLabel

# Beyond this many sigma a Gaussian holds 1.2e-7 of its mass: the last digit of a float32 next to 1.
WINDOW_SIGMAS = 5.3
# So many times a window's bins must there be for it to save time.
WORTH_A_WINDOW = 3
# erf(1e30 * distance) is a step, and still finite, so that a target on an edge is not 0 * inf.
STEEPEST = 1e30


class Label(NamedTuple):
    """W probabilities [..., W] of a distribution over K bins and the bins [..., W]; `bins` is None when W = K."""

    probs: Tensor
    bins: Tensor | None = None


def dense(label: Label, num_bins: int) -> Tensor:
    """The whole distribution [..., K] of a label."""
    if label.bins is None:
        return label.probs
    zeros_K = label.probs.new_zeros(*label.probs.shape[:-1], num_bins)
    return zeros_K.scatter(-1, label.bins, label.probs)


def gaussian(value: Tensor, rule: GaussianLabel, dtype: torch.dtype, windowed: bool = False) -> Label:
    """The Gaussian of width sigma around the clamped value [...], integrated over each bin (section 3.1).

    A window saves arithmetic, where the rule has one, and costs eight calls on a number a sample.
    """
    if value.dtype != dtype:
        if value.dtype == torch.float64:  # to round the value would cost the label's precision
            probs_W, bins_W = gaussian(value, rule, torch.float64, windowed)
            return Label(probs_W.to(dtype), bins_W)
        value = value.to(dtype)
    low, high, slope, edges, rest, window = _constants(rule, dtype, value.device)
    value = torch.add(torch.clamp(value, low, high), value, alpha=0).unsqueeze(-1)  # `clamp_or_nan`
    if rest is None:
        return Label(tails(value.to(edges.dtype), edges, slope).to(dtype))
    bins_W = None
    if not windowed or window is None:
        z = torch.add(rest, edges - value, alpha=slope)
    else:
        position = torch.add(window.shift, value, alpha=window.per_bin)
        # Cut towards zero, which the clamp makes the floor. A NaN has no integer: it stays in the position.
        first = position.long().clamp_(0, window.last)
        z = torch.sub(window.edges, (position - first).to(dtype), alpha=slope / window.per_bin)
        bins_W = first + window.bins
    mass = z.erf_().diff()
    return Label(mass.div_(mass.sum(-1, True)), bins_W)


class _Window(NamedTuple):
    """A window that holds the label to float32 precision, wherever in a bin the value is.

    shift [1] + per_bin * value is the value's position, in bins from the first bin of its window; `last` is the last
    window's first bin; edges [W + 1] are slope times their distance from the value if that is at 0; bins [W] count.
    """

    per_bin: float
    last: int
    shift: Tensor
    edges: Tensor
    bins: Tensor


class _Constants(NamedTuple):
    """What a rule means in a dtype on a device.

    low and high clamp the value; slope is 1 / (sqrt(2) sigma). The edges [K + 1] are rounded to the dtype, and
    `rest` is slope times what that loses: it would grow with K to more than the label's precision. Without a
    clamp there is no `rest`, and the edges are float64.
    """

    low: float
    high: float
    slope: float
    edges: Tensor
    rest: Tensor | None
    window: _Window | None


# By identity, since to hash a rule takes 4 % of a small loss; the rule is held so that its number stays its own.
_kept: dict[tuple[int, torch.dtype], tuple[GaussianLabel, _Constants]] = {}


def _constants(rule: GaussianLabel, dtype: torch.dtype, device: torch.device) -> _Constants:
    """The constants; on a CPU always the same ones."""
    on_cpu = device.type == "cpu"
    if on_cpu and (kept := _kept.get((id(rule), dtype))) is not None:
        return kept[1]
    with torch.inference_mode(False):
        made = _make_constants(rule, dtype, device)
    # A tensor made while a CUDA graph is captured belongs to that graph, so only a CPU's are kept.
    if on_cpu and not torch.compiler.is_compiling():
        if len(_kept) >= 256:
            _kept.clear()
        _kept[id(rule), dtype] = rule, made
    return made


def _make_constants(rule: GaussianLabel, dtype: torch.dtype, device: torch.device) -> _Constants:
    slope = min(1 / (rule.sigma * math.sqrt(2)), STEEPEST)
    exact = rule.bins.edge_tensor(position_dtype(device), device)
    if not rule.is_clamped:
        return _Constants(*rule.value_range, slope, exact, None, None)
    edges = exact.to(dtype)
    rest = (exact - edges).mul_(slope).to(dtype)
    return _Constants(*rule.value_range, slope, edges, rest, _window(rule, slope, dtype, device))


def _window(rule: GaussianLabel, slope: float, dtype: torch.dtype, device: torch.device) -> _Window | None:
    bins, width = rule.bins, rule.bins.width
    before = math.ceil(min(WINDOW_SIGMAS * rule.sigma / width, bins.num_bins))
    size = 2 * before + 1
    if not bins.is_uniform or WORTH_A_WINDOW * size > bins.num_bins:
        return None
    exact, count = position_dtype(device), torch.arange(size + 1, device=device)
    shift = torch.full((1,), -bins.edge_min / width - before, dtype=exact, device=device)
    edges = ((count - before).to(exact) * (width * slope)).to(dtype)
    return _Window(1 / width, bins.num_bins - size, shift, edges, count[:-1])


def tails(value: Tensor, edges: Tensor, slope: float) -> Tensor:
    """The Gaussian around value [..., 1] truncated to increasing edges [K+1], right far outside them too.

    The mass of a bin is a difference of tails on the side where they are small (erfc mirrored at the
    value), in units of the nearest edge's density, so that nothing cancels or underflows.
    """
    z = (edges - value) * slope
    nearest = torch.maximum(z[..., :1], -z[..., -1:]).clamp(min=0)  # 0 inside the support
    tail = torch.special.erfcx(z.abs()) * torch.exp((nearest - z.abs()) * (nearest + z.abs()))
    left, right = tail[..., :-1], tail[..., 1:]
    holds_value = (z[..., :-1] < 0) & (z[..., 1:] > 0)
    mass = torch.where(holds_value, 2 - left - right, (left - right).abs())
    return mass / mass.sum(dim=-1, keepdim=True)


def two_hot(value: Tensor, bins: Bins, dtype: torch.dtype) -> Label:
    """The two nearest centers share the mass so that the mean is the value [...] clipped to the centers."""
    centers_K = bins.center_tensor(dtype, value.device)
    value = clamp_or_nan(value.to(dtype), *bins.center_range).contiguous()
    lower = torch.searchsorted(centers_K[1:-1], value, right=True)  # a NaN comes last
    # Indexed as a pair: a single sample's index, of no dimensions, would be read back to the host.
    pair = lower.unsqueeze(-1) + counted(2, value.device)
    below, above = centers_K[pair].unbind(-1)
    share = (value - below) / (above - below)
    return Label(torch.stack((1 - share, share), -1), pair)


def c51(probs_K: Tensor, reward: Tensor, discount: Tensor, bins: Bins) -> Tensor:
    """The distribution [..., K] of the clipped atoms reward + discount * centers, projected to the centers (C51).

    probs_K [..., K] are the atoms' probabilities; reward and discount [...]. A NaN in the probabilities stays.
    """
    if bins.is_uniform:
        share_K, lower_K = _shifted(reward, discount, bins, probs_K.dtype)
    else:
        centers_K = bins.center_tensor(probs_K.dtype, probs_K.device)
        label = two_hot(reward[..., None] + discount[..., None] * centers_K, bins, probs_K.dtype)
        assert label.bins is not None
        share_K, lower_K = label.probs[..., 1], label.bins[..., 0]
    above_K = probs_K * share_K
    projected_K = torch.zeros_like(above_K).scatter_add_(-1, lower_K, probs_K - above_K)
    return projected_K.scatter_add_(-1, lower_K + 1, above_K)


def _shifted(reward: Tensor, discount: Tensor, bins: Bins, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Where the atoms land among equal bins: the upper center's share [..., K], and the lower center [..., K].

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
