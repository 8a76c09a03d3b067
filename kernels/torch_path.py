"""The implementation in plain PyTorch: every device, every dtype, torch.compile, torch.func.

Shapes: ... any leading dimensions, K bins.
"""

import torch
from torch import Tensor

from catzoo.kernels import labels
from catzoo.kernels.cross_entropy import cross_entropy, is_small
from catzoo.kernels.labels import Label
from catzoo.kernels.numerics import at_least_float32, compute_dtype, nan_unless_finite


def supports(device: torch.device) -> bool:
    """Every device that PyTorch has."""
    return True


def hl_gauss_cross_entropy(
    logits_K: Tensor,
    target: Tensor,
    edge_min: float,
    edge_max: float,
    sigma: float,
    clamp: tuple[float, float],
) -> Tensor:
    num_bins = logits_K.shape[-1]
    # float64 is asked for to check things, and compiled code fuses the whole label into the loss.
    whole = logits_K.dtype == torch.float64 or torch.compiler.is_compiling() or is_small(logits_K)
    window = num_bins
    if not whole:
        window = min(num_bins, labels.hl_gauss_window((edge_max - edge_min) / num_bins, sigma))
    label = labels.hl_gauss(
        target.detach(),
        num_bins,
        edge_min=edge_min,
        edge_max=edge_max,
        sigma=sigma,
        clamp=clamp,
        window=window,
        dtype=compute_dtype(logits_K),
    )
    return cross_entropy(logits_K, label)


def two_hot_cross_entropy(logits_K: Tensor, target: Tensor, centers_K: Tensor) -> Tensor:
    return cross_entropy(logits_K, labels.two_hot(target.detach(), centers_K))


def soft_label_cross_entropy(logits_K: Tensor, label_K: Tensor) -> Tensor:
    return cross_entropy(logits_K, Label(label_K.detach().to(compute_dtype(logits_K)), None))


def c51_cross_entropy(
    logits_K: Tensor, next_logits_K: Tensor, reward: Tensor, discount: Tensor, centers_K: Tensor
) -> Tensor:
    label_K = labels.c51(next_logits_K.detach(), reward.detach(), discount.detach(), centers_K)
    return cross_entropy(logits_K, Label(label_K, None))


def categorical_value(logits_K: Tensor, centers_K: Tensor) -> Tensor:
    logits_K = at_least_float32(logits_K)
    probs_K = torch.softmax(logits_K, dim=-1)
    if logits_K.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        value = probs_K @ centers_K
    else:  # autocast and TF32 would take a matmul to 8 or 10 bits of mantissa
        value = (probs_K * centers_K).sum(dim=-1)
    return nan_unless_finite(value, logits_K.detach().sum(dim=-1))  # softmax forgets a logit of -inf
