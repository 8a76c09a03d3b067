"""Plain formulas in PyTorch over whole labels, which autograd can derive as often as it likes.

The compiler fuses them, and they take any device and dtype.

Shapes: ... any leading dimensions, A actions, K bins.
"""

import torch
from torch import Tensor

from catzoo.kernels import labels
from catzoo.kernels.bins import Bins
from catzoo.kernels.numerics import (
    at_least_float32,
    compute_dtype,
    counted,
    nan_unless_finite,
    witness_of_all,
)
from catzoo.kernels.rules import GivenLabel, NextDistribution, ProjectedLabel, Rule, Target, ValueRule
from catzoo.kernels.td import TDInputs, TDResult


def label(target: Target, rule: Rule, dtype: torch.dtype) -> Tensor:
    """The whole label [..., K] of a target, without gradient."""
    if isinstance(target, NextDistribution):
        target = NextDistribution(*(x.detach() for x in target))
        device = target.logits.device
    else:
        target = target.detach()
        device = target.device
    made = labels.label_function(rule, dtype, device)(target)
    return made[0] if isinstance(rule, GivenLabel) else labels.dense(made, rule.bins.num_bins)


def cross_entropy(logits_K: Tensor, label_K: Tensor, weight: Tensor | None) -> Tensor:
    """One loss [...] per sample, times its weight; NaN where a logit or a probability is not finite."""
    if weight is not None:  # a row of weight 0 is out, whatever it holds: NaN * 0 would be NaN
        is_out = (weight == 0).unsqueeze(-1)
        logits_K, label_K = logits_K.masked_fill(is_out, 0), label_K.masked_fill(is_out, 0)
    loss = -(label_K * torch.log_softmax(at_least_float32(logits_K), dim=-1)).sum(dim=-1)
    loss = nan_unless_finite(loss, loss)
    return loss if weight is None else loss * weight.to(loss.dtype)


def change_of_gradient(logits_K: Tensor, weight: Tensor | None) -> Tensor:
    """Zero [..., K], with the derivative of `cross_entropy`'s gradient: its label is constant."""
    if weight is not None:
        logits_K = logits_K.masked_fill((weight == 0).unsqueeze(-1), 0)
    probs_K = torch.softmax(at_least_float32(logits_K), dim=-1)
    change_K = probs_K - probs_K.detach()
    return change_K if weight is None else change_K * weight.unsqueeze(-1)


def categorical_value(logits_K: Tensor, bins: Bins) -> Tensor:
    """The mean [...] of the softmax over the centers."""
    logits_K = at_least_float32(logits_K)
    return probs_and_value(logits_K, bins.centers_to_sum(logits_K.dtype, logits_K.device))[1]


def probs_and_value(logits_K: Tensor, centers_K: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax [..., K], and its mean [...] over the centers."""
    probs_K = torch.softmax(logits_K, -1)
    value = nan_unless_finite(mean(probs_K, centers_K), witness_of_all(logits_K))  # softmax forgets -inf
    return probs_K, value


def mean(probs_K: Tensor, centers_K: Tensor) -> Tensor:
    """The mean [...] of a distribution over the centers, summed in their dtype."""
    if centers_K.dtype != probs_K.dtype:
        return mean(probs_K.to(centers_K.dtype), centers_K).to(probs_K.dtype)
    if probs_K.is_cpu and not torch.is_autocast_enabled("cpu"):
        return probs_K @ centers_K
    return (probs_K * centers_K).sum(-1)  # autocast and TF32 would take a matmul to 8 or 10 bits of mantissa


def take(outputs_AK: Tensor, action: Tensor) -> Tensor:
    """The outputs [..., K] of one action a row."""
    if action.ndim != 1:
        taken_NK = take(outputs_AK.reshape(-1, *outputs_AK.shape[-2:]), action.reshape(-1))
        return taken_NK.view(*action.shape, outputs_AK.shape[-1])
    return outputs_AK[counted(len(action), action.device), action]


def put(grad_K: Tensor, action: Tensor, outputs_AK: Tensor) -> Tensor:
    """The gradient [..., A, K] of outputs that is zero but for the action taken."""
    if action.ndim != 1:
        grad_NK = grad_K.reshape(-1, grad_K.shape[-1])
        outputs_NAK = outputs_AK.reshape(-1, *outputs_AK.shape[-2:])
        return put(grad_NK, action.reshape(-1), outputs_NAK).view(outputs_AK.shape)
    at = counted(len(action), action.device), action
    return grad_K.new_zeros(outputs_AK.shape).index_put_(at, grad_K)


def categorical_td(inputs: TDInputs, rule: ValueRule) -> TDResult:
    """One Bellman step."""
    chosen_K = take(inputs.outputs, inputs.action)
    with torch.no_grad():
        target, td_error, clipped = td_target(inputs, rule, chosen_K)
        label_K = label(target, rule, compute_dtype(chosen_K))
    return TDResult(cross_entropy(chosen_K, label_K, inputs.weight), td_error, clipped)


def td_target(inputs: TDInputs, rule: ValueRule, chosen_K: Tensor) -> tuple[Target, Tensor, Tensor]:
    """What the label is made from, the TD error [...], and whether the scalar target lies outside."""
    bins, online_AK = rule.bins, inputs.next_online_outputs
    best = categorical_value(inputs.next_outputs if online_AK is None else online_AK, bins).max(dim=-1)
    next_K, next_value = take(inputs.next_outputs, best.indices), best.values
    if online_AK is not None:
        # A NaN wins the maximum; adding 0 * NaN keeps it when the selector is another network.
        next_K = next_K + 0 * best.values[..., None]
        next_value = categorical_value(next_K, bins)
    value = inputs.reward + inputs.discount * next_value
    low, high = rule.value_range
    projects = isinstance(rule, ProjectedLabel)
    target = NextDistribution(next_K, inputs.reward, inputs.discount) if projects else value
    return target, value - categorical_value(chosen_K, bins), (value < low) | (value > high)


def value_gradient(logits_K: Tensor, bins: Bins, grad_value: Tensor) -> Tensor:
    """The gradient [..., K] of `categorical_value`: softmax times the centers' distance from the mean."""
    probs_K = torch.softmax(at_least_float32(logits_K), dim=-1)
    value = mean(probs_K, bins.centers_to_sum(probs_K.dtype, probs_K.device))
    distance_K = bins.center_tensor(probs_K.dtype, probs_K.device) - value.unsqueeze(-1)
    return (grad_value[..., None] * probs_K * distance_K).to(logits_K.dtype)
