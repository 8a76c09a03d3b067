"""The implementation in PyTorch: every device and dtype.

    loss = -sum_i p_i log softmax(l)_i          d loss / d l = softmax(l) - p          (p sums to one)

The gradient is written down, not derived, and made in the memory of the log-probabilities. Labels are whole
where calls cost more than arithmetic, else windows.

Shapes: ... any leading dimensions, N rows, A actions, K bins, W bins of a window.
"""

import torch
from torch import Tensor

from catzoo.kernels import labels, plain
from catzoo.kernels.bins import Bins
from catzoo.kernels.labels import Label, LabelFunction
from catzoo.kernels.last_layer import LastLayer
from catzoo.kernels.numerics import at_least_float32, compute_dtype, nan_unless_finite, witness_of_all
from catzoo.kernels.rules import ProjectedLabel, Rule, Target, ValueRule
from catzoo.kernels.td import TDInputs, TDResult

# Up to so many logits a whole label, of fewer calls, beats a window.
SMALL = 30_000


def refusal(device: torch.device, rule: Rule | None, num_bins: int, dtype: torch.dtype) -> str | None:
    """None: there is nothing that it cannot do."""
    return None


def loss_and_grad(
    logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss [...] and, if asked for, its gradient [..., K]."""
    loss, grad_K, _ = _score(logits_K, _label(target, rule, logits_K), weight, with_grad)
    return loss, grad_K


def linear_loss_and_grad(
    layer: LastLayer, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss [...] of the logits that a layer makes and, if asked for, the gradient [..., K] by them."""
    return loss_and_grad(layer.logits(), target, rule, weight, with_grad)


# By identity, since to hash a rule takes 4 % of a small loss; the rule is held so that its id stays its own.
_kept: dict[tuple[int, torch.dtype, bool], tuple[Rule, LabelFunction]] = {}


def _label(target: Target, rule: Rule, logits_K: Tensor) -> Label:
    windowed = logits_K.numel() > SMALL
    may_keep = (
        logits_K.is_cpu and not torch.compiler.is_compiling() and not torch._C._len_torch_dispatch_stack()
    )
    kept = _kept.get((id(rule), logits_K.dtype, windowed)) if may_keep else None
    return (_label_function(rule, logits_K, windowed, may_keep) if kept is None else kept[1])(target)


def _label_function(rule: Rule, logits_K: Tensor, windowed: bool, may_keep: bool) -> LabelFunction:
    """What makes labels for such logits; it is kept on a CPU, and then outside of a trace or a mode.

    A tensor made while a CUDA graph is captured belongs to that graph, and one without data to its mode.
    """
    with torch.inference_mode(False):
        label = labels.label_function(rule, compute_dtype(logits_K), logits_K.device, windowed)
    if may_keep:
        if len(_kept) >= 256:
            _kept.clear()
        _kept[id(rule), logits_K.dtype, windowed] = rule, label
    return label


def _score(
    logits_K: Tensor,
    label: Label,
    weight: Tensor | None,
    with_grad: bool,
    centers_K: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The loss [...]; its gradient [..., K] if asked for; with the centers given, the value [...]."""
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
        loss = nan_unless_finite(loss, witness_of_all(log_probs_K))
    # A row of weight 0 is out, whatever it holds: NaN * 0 would be NaN.
    is_out = None if weight is None else weight == 0
    grad_K = value = None
    if with_grad or centers_K is not None:
        probs_K = log_probs_K.exp_()
        if centers_K is not None:
            value = nan_unless_finite(plain.mean(probs_K, centers_K), loss)
        if with_grad:
            probs_K = probs_K.sub_(probs_W) if bins_W is None else probs_K.scatter_add_(-1, bins_W, -probs_W)
            grad_K = probs_K
            if weight is not None and is_out is not None:
                grad_K.mul_(weight.unsqueeze(-1)).masked_fill_(is_out.unsqueeze(-1), 0)
            if is_half:
                grad_K = grad_K.to(dtype)
    if weight is not None and is_out is not None:
        loss.mul_(weight).masked_fill_(is_out, 0)
    return loss, grad_K, value


def categorical_td(inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """One Bellman step and, if asked for, the gradient [..., A, K] with respect to its outputs."""
    result, grad_K = chosen_td(inputs, rule, with_grad)
    return result, None if grad_K is None else plain.put(grad_K, inputs.action, inputs.outputs)


def chosen_td(inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """One Bellman step and, if asked for, the gradient [..., K] by the outputs of the action taken."""
    batch = inputs.action.shape
    if len(batch) != 1:
        flat = (None if x is None else x.reshape(-1, *x.shape[len(batch) :]) for x in inputs)
        result, grad_NK = chosen_td(TDInputs(*flat), rule, with_grad)  # type: ignore[arg-type]
        grad_K = None if grad_NK is None else grad_NK.view(*batch, grad_NK.shape[-1])
        return TDResult(*(x.view(batch) for x in result)), grad_K
    chosen_NK = plain.take(inputs.outputs, inputs.action)
    centers_K = rule.bins.centers_to_sum(compute_dtype(chosen_NK), chosen_NK.device)
    next_value, next_probs_NK = _next(inputs, rule, centers_K)
    target = torch.addcmul(inputs.reward, inputs.discount, next_value)
    label: Label
    if next_probs_NK is None:
        label = _label(target, rule, chosen_NK)
    else:
        probs_NK = nan_unless_finite(next_probs_NK, target.to(next_probs_NK.dtype).unsqueeze(-1))
        label = labels.c51(probs_NK, inputs.reward, inputs.discount, rule.bins), None
    loss, grad_NK, value = _score(chosen_NK, label, inputs.weight, with_grad, centers_K)
    assert value is not None
    low, high = rule.value_range
    return TDResult(loss, target - value, (target < low) | (target > high)), grad_NK


def put_scaled(grad_K: Tensor, by: Tensor, action: Tensor, outputs_AK: Tensor) -> Tensor:
    """The gradient [..., A, K] of outputs from `chosen_td`'s and that of the losses [...]."""
    scaled_K = grad_K * by.unsqueeze(-1)
    return plain.put(scaled_K.to(grad_K.dtype), action, outputs_AK)


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
