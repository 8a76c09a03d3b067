"""Reference formulas: the truth that tests, benchmarks and kernels are compared against, meant for float64.

Each is the definition written out, over all bins, without windows, saved gradients or checks, and
differentiable by autograd. Targets are *not* clamped here: clamp before calling.

Deviations from "Stop Regressing" (arXiv 2403.03950): eq. 3.1 lacks its minus sign; the weights of eq. 3.2
and 3.4 are printed swapped; the Gaussian label is right outside the support too, where the paper's is 0/0.
`hl_gauss_cross_entropy_as_printed` keeps the paper's listing as it is.

Shapes: ... any leading dimensions, K bins, B batch, A actions.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def hl_gauss_label(value: Tensor, edges: Tensor, sigma: float) -> Tensor:
    """The Gaussian around value [...] truncated to any increasing edges [K+1] → probabilities [..., K].

    Tails are taken on the side where they are small (erfc mirrored at the value) and scaled by the nearest
    edge's density, so that nothing cancels or underflows far outside the support.
    """
    z = (edges - value[..., None]) / (sigma * math.sqrt(2))
    nearest = torch.maximum(z[..., :1], -z[..., -1:]).clamp(min=0)  # 0 inside the support
    tail = torch.special.erfcx(z.abs()) * torch.exp((nearest - z.abs()) * (nearest + z.abs()))
    left, right = tail[..., :-1], tail[..., 1:]
    holds_value = (z[..., :-1] < 0) & (z[..., 1:] > 0)
    mass = torch.where(holds_value, 2 - left - right, (left - right).abs())
    return mass / mass.sum(dim=-1, keepdim=True)


def two_hot_label(value: Tensor, centers: Tensor) -> Tensor:
    """Linear hats of value [...] on any increasing centers [K] → probabilities [..., K] (eq. 3.2)."""
    value = value[..., None].clamp(centers[0], centers[-1])
    rising = (value - centers[:-1]) / centers.diff()  # from 0 at the center below to 1 at the center above
    up = F.pad(rising, (1, 0), value=1.0)
    down = F.pad(1 - rising, (0, 1), value=1.0)
    return torch.minimum(up, down).clamp(0, 1)


def one_hot_label(value: Tensor, centers: Tensor) -> Tensor:
    """1 in the bin whose center of [K] is nearest to the value [...], the lower of two → [..., K]."""
    nearest = (value[..., None] - centers).abs().argmin(dim=-1)
    return F.one_hot(nearest, len(centers)).to(value.dtype)


def c51_projection(probs: Tensor, atoms: Tensor, centers: Tensor) -> Tensor:
    """The distribution of atoms [..., K] with probs [..., K], clipped and shared between the centers [K]."""
    return (probs[..., None] * two_hot_label(atoms, centers)).sum(dim=-2)


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """-sum_i label_i log softmax(logits)_i over the last dimension (eq. 3.1 with its sign) → [...]."""
    return -(label * torch.log_softmax(logits, dim=-1)).sum(dim=-1)


def categorical_value(logits: Tensor, centers: Tensor) -> Tensor:
    """The mean of softmax(logits [..., K]) over the centers [K] → [...]."""
    return (torch.softmax(logits, dim=-1) * centers).sum(dim=-1)


def greedy(next_outputs: Tensor, next_values: Tensor) -> Tensor:
    """The next outputs [B, K], out of [B, A, K], of the action with the largest value [B, A]."""
    return torch.stack(
        [row[action] for row, action in zip(next_outputs, next_values.argmax(-1), strict=True)]
    )


def scalar_target(next_value: Tensor, reward: Tensor, discount: Tensor) -> Tensor:
    """The Bellman target reward + discount * next value, all [B]."""
    return reward + discount * next_value


def mse_td(value: Tensor, target: Tensor) -> Tensor:
    """The squared error of value [B] to the scalar target [B]."""
    return (value - target) ** 2


def huber_td(value: Tensor, target: Tensor, delta: float) -> Tensor:
    """Huber's loss of value [B] to the scalar target [B]."""
    distance = (value - target).abs()
    return torch.where(distance <= delta, distance**2 / 2, delta * (distance - delta / 2))


def hl_gauss_td(
    logits: Tensor, target: Tensor, edges: Tensor, sigma: float, v_min: float, v_max: float
) -> Tensor:
    """Cross-entropy of logits [B, K] to the Gaussian label of the scalar target [B], clamped."""
    return cross_entropy(logits, hl_gauss_label(target.clamp(v_min, v_max), edges, sigma))


def two_hot_td(logits: Tensor, target: Tensor, centers: Tensor) -> Tensor:
    """Cross-entropy of logits [B, K] to the two-hot label of the scalar target [B]."""
    return cross_entropy(logits, two_hot_label(target, centers))


def one_hot_td(logits: Tensor, target: Tensor, centers: Tensor) -> Tensor:
    """Cross-entropy of logits [B, K] to the nearest bin of the scalar target [B]."""
    return cross_entropy(logits, one_hot_label(target, centers))


def c51_td(logits: Tensor, next_logits: Tensor, reward: Tensor, discount: Tensor, centers: Tensor) -> Tensor:
    """Cross-entropy of logits [B, K] to the projected distribution of the greedy next logits [B, K]."""
    atoms = reward[..., None] + discount[..., None] * centers
    return cross_entropy(logits, c51_projection(torch.softmax(next_logits, dim=-1), atoms, centers))


def softmax_mse_td(logits: Tensor, target: Tensor, centers: Tensor) -> Tensor:
    """The squared error of the mean of softmax(logits [B, K]) to the scalar target [B]."""
    return mse_td(categorical_value(logits, centers), target)


def quantile_td(quantiles: Tensor, targets: Tensor, kappa: float) -> Tensor:
    """The quantile Huber loss of quantiles [B, K] to the points [B, J] of a target (1710.10044, eq. 10).

    Over kappa, which 0 leaves out: sum_i mean_j |tau_i - 1{u_ij < 0}| Huber(u_ij) / kappa, u_ij = target_j -
    quantile_i, tau_i = (2 i + 1) / 2 K.
    """
    count = quantiles.shape[-1]
    loss = torch.zeros_like(quantiles[..., 0])
    for i in range(count):
        u = targets - quantiles[..., i, None]
        size = huber_td(u, torch.zeros_like(u), kappa) / kappa if kappa else u.abs()
        loss = loss + (((2 * i + 1) / (2 * count) - (u < 0).to(u.dtype)).abs() * size).mean(dim=-1)
    return loss


def hl_gauss_cross_entropy_as_printed(
    logits: Tensor, target: Tensor, support: Tensor, sigma: float
) -> Tensor:
    """The paper's listing (appendix A), unreduced: the eager baseline, 0/0 outside the support and all.

    logits [..., K], target [...], support the bin edges [K+1], which the listing makes once.
    """
    cdf_evals = torch.special.erf((support - target.unsqueeze(-1)) / (math.sqrt(2.0) * sigma))
    z = cdf_evals[..., -1] - cdf_evals[..., 0]
    bin_probs = cdf_evals[..., 1:] - cdf_evals[..., :-1]
    return F.cross_entropy(logits, bin_probs / z.unsqueeze(-1), reduction="none")
