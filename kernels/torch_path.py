"""The implementation in PyTorch: every device and dtype.

    loss = -sum_i p_i log softmax(l)_i          d loss / d l = softmax(l) - p          (p sums to one)

The gradient is written down, not derived, and made while the log-probabilities are at hand. Where calls cost more
than arithmetic, labels are whole; else they are windows, and on a CPU the rows go through its cache in pieces.

Shapes: ... any leading dimensions, N rows, A actions, K bins, W bins of a window.
"""

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor

from catzoo.kernels import labels, plain
from catzoo.kernels.bins import Bins
from catzoo.kernels.labels import Label
from catzoo.kernels.numerics import at_least_float32, compute_dtype, nan_unless_finite
from catzoo.kernels.rules import GaussianLabel, NextDistribution, ProjectedLabel, Rule, Target, TwoHotLabel, ValueRule
from catzoo.kernels.td import TDInputs, TDResult

# Logits that a core's second-level cache holds together with what is made of them (512 KiB in float32).
CACHED = 131_072
# Up to so many logits a whole label, of fewer calls, beats a window.
SMALL = 20_000


def refusal(device: torch.device, rule: Rule | None, num_bins: int, dtype: torch.dtype) -> str | None:
    """None: there is nothing that it cannot do."""
    return None


def loss_and_grad(
    logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss [...] and, if asked for, its gradient [..., K]."""
    if logits_K.numel() > CACHED and logits_K.is_cpu:
        return _in_pieces(logits_K, target, rule, weight, with_grad)
    loss, grad_K, _ = _score(logits_K, _label(target, rule, logits_K), weight, with_grad)
    return loss, grad_K


def _in_pieces(
    logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The same, so many rows at a time: a third of the time at 4096 x 101 and above."""
    batch = logits_K.shape[:-1]
    rows = -(-CACHED * torch.get_num_threads() // logits_K.shape[-1])

    def pieces(x: Tensor | None) -> Iterable[Tensor | None]:
        return itertools.repeat(None) if x is None else x.reshape(-1, *x.shape[len(batch) :]).split(rows)

    loss = torch.empty(batch, dtype=compute_dtype(logits_K))
    grad_K = torch.empty(logits_K.shape, dtype=logits_K.dtype) if with_grad else None
    targets: Iterable[Target]
    if isinstance(target, NextDistribution):
        targets = itertools.starmap(NextDistribution, zip(*map(pieces, target)))
    else:
        targets = pieces(target)
    for loss_N, logits_NK, part, weight_N, grad_NK in zip(
        *map(pieces, (loss, logits_K)), targets, pieces(weight), pieces(grad_K)
    ):
        label = _label(part, rule, logits_NK)
        loss_N.copy_(_score(logits_NK, label, weight_N, with_grad, out=grad_NK)[0])
    return loss, grad_K


def _label(target: Target, rule: Rule, logits_K: Tensor) -> Label:
    dtype = torch.float64 if logits_K.dtype == torch.float64 else torch.float32
    if isinstance(rule, GaussianLabel):
        windowed = logits_K.numel() > SMALL and dtype == torch.float32  # float64 is asked for to check things
        return labels.gaussian(target, rule, dtype, windowed)
    if isinstance(rule, TwoHotLabel):
        return labels.two_hot(target, rule.bins, dtype)
    return Label(plain.label(target, rule, dtype))


def _score(
    logits_K: Tensor,
    label: Label,
    weight: Tensor | None,
    with_grad: bool,
    centers_K: Tensor | None = None,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The loss [...], its gradient [..., K] if asked for (in `out` if given), the value [...] if centers are given."""
    probs_W, bins_W = label
    dtype = logits_K.dtype
    is_half = dtype != torch.float32 and dtype != torch.float64
    log_probs_K = torch.log_softmax(logits_K.float() if is_half else logits_K, -1)
    if bins_W is None:
        negative = (probs_W * log_probs_K).sum(-1)
        loss = torch.add(negative, negative, alpha=-2)  # NaN where it is infinite
    else:
        loss = (probs_W * log_probs_K.gather(-1, bins_W)).sum(-1).neg_()
        # A logit of -inf outside the window would go unseen; +inf and NaN spoil every log-probability.
        loss = nan_unless_finite(loss, log_probs_K.sum(-1))
    value = grad_K = None
    if with_grad or centers_K is not None:
        grad_K = log_probs_K.exp_() if out is None or is_half else torch.exp(log_probs_K, out=out)
    if centers_K is not None:
        value = nan_unless_finite(plain.mean(grad_K, centers_K), loss)
    if with_grad:
        if bins_W is None:
            grad_K.sub_(probs_W)
        else:
            grad_K.scatter_add_(-1, bins_W, probs_W.neg())
    if weight is not None:
        out_of_it = weight == 0  # whatever the row holds: NaN * 0 would be NaN
        loss = (loss * weight).masked_fill_(out_of_it, 0)
        if with_grad:
            grad_K.mul_(weight.unsqueeze(-1)).masked_fill_(out_of_it.unsqueeze(-1), 0)
    if with_grad and is_half:
        grad_K = grad_K.to(dtype) if out is None else out.copy_(grad_K)
    return loss, grad_K, value


def categorical_td(inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """One Bellman step and, if asked for, the gradient [..., A, K] with respect to its outputs."""
    result, grad_K = chosen_td(inputs, rule, with_grad)
    return result, None if grad_K is None else plain.put(grad_K, inputs.action, inputs.outputs)


def chosen_td(inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """One Bellman step and, if asked for, the gradient [..., K] with respect to the outputs of the action taken."""
    batch = inputs.action.shape
    if len(batch) != 1:
        flat = (None if x is None else x.reshape(-1, *x.shape[len(batch) :]) for x in inputs)
        result, grad_NK = chosen_td(TDInputs(*flat), rule, with_grad)  # type: ignore[arg-type]
        return TDResult(*(x.view(batch) for x in result)), None if grad_NK is None else grad_NK.view(*batch, -1)
    chosen_NK = plain.take(inputs.outputs, inputs.action)
    centers_K = rule.bins.center_tensor(compute_dtype(chosen_NK), chosen_NK.device)
    next_value, next_probs_NK = _next(inputs, rule, centers_K)
    target = torch.addcmul(inputs.reward, inputs.discount, next_value)
    if next_probs_NK is None:
        label = _label(target, rule, chosen_NK)
    else:
        probs_NK = nan_unless_finite(next_probs_NK, target.unsqueeze(-1))
        label = Label(labels.c51(probs_NK, inputs.reward, inputs.discount, rule.bins))
    loss, grad_NK, value = _score(chosen_NK, label, inputs.weight, with_grad, centers_K)
    low, high = rule.value_range
    return TDResult(loss, target - value, (target < low) | (target > high)), grad_NK


def _next(inputs: TDInputs, rule: ValueRule, centers_K: Tensor) -> tuple[Tensor, Tensor | None]:
    """The value [N] of the greedy next action, and if it is to be projected its probabilities [N, K]."""
    online_NAK, projects = inputs.next_online_outputs, isinstance(rule, ProjectedLabel)
    selector_NAK = inputs.next_outputs if online_NAK is None else online_NAK
    probs_NAK, value_NA = plain.probs_and_value(at_least_float32(selector_NAK), centers_K)
    if online_NAK is None and not projects:
        return value_NA.amax(-1), None
    best = value_NA.max(-1)
    if online_NAK is None:
        return best.values, plain.take(probs_NAK, best.indices)
    next_NK = at_least_float32(plain.take(inputs.next_outputs, best.indices))
    probs_NK, value = plain.probs_and_value(next_NK, centers_K)
    # A NaN wins the maximum, and must not be lost when the selector is another network.
    return nan_unless_finite(value, best.values), probs_NK if projects else None


def categorical_value(logits_K: Tensor, bins: Bins) -> Tensor:
    """The mean [...] of the softmax over the centers."""
    return plain.categorical_value(logits_K, bins)


def greedy_action(logits_AK: Tensor, bins: Bins) -> Tensor:
    """The action [...] of the largest value."""
    return plain.categorical_value(logits_AK, bins).argmax(dim=-1)
