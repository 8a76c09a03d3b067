"""The public functions: arguments checked by shape and dtype (no host sync), then handed to a backend.

Every function takes any leading dimensions, computes in float32 at least (float64 for float64 logits),
returns one number per sample without reduction, and gives NaN where a target or a logit is NaN or infinite.
Targets and labels are constants: gradients flow to the logits only, in the logits' dtype. A weight [...]
multiplies the loss; a row of weight 0 is out, whatever it holds.

Shapes: ... any leading dimensions, A actions, K bins.
"""

import functools
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from catzoo.kernels import autograd, plain
from catzoo.kernels.backend import OPERATORS, Choice, choose, run
from catzoo.kernels.bins import Bins
from catzoo.kernels.check import check_outputs, check_target, check_td, check_tensor
from catzoo.kernels.numerics import compute_dtype, is_recorded
from catzoo.kernels.rules import (
    GaussianLabel,
    GivenLabel,
    Method,
    NextDistribution,
    ProjectedLabel,
    Rule,
    Target,
    TwoHotLabel,
    ValueRule,
)
from catzoo.kernels.td import TDInputs, TDResult


def cross_entropy(
    logits: Tensor, target: Target, rule: Rule, *, weight: Tensor | None = None, backend: str = "auto"
) -> Tensor:
    """Cross-entropy of logits [..., K] to the label that the rule makes of the target → loss [...].

    target is a value [...], a `NextDistribution` for `ProjectedLabel`, or probabilities [..., K] for
    `GivenLabel`. Raises ValueError for bad shapes, dtypes, devices or backend.
    """
    check_target(logits, target, rule, weight)
    choice = choose(backend, logits.device, rule, logits.shape[-1], logits.dtype)
    if is_recorded():
        if choice.name not in OPERATORS:  # the compiler fuses and derives the plain formula
            return plain.cross_entropy(logits, plain.label(target, rule, compute_dtype(logits)), weight)
        from catzoo.kernels import compiled

        return compiled.cross_entropy(choice, logits, target, rule, weight)
    return autograd.cross_entropy(choice, logits, target, rule, weight)


def loss_and_grad(
    logits: Tensor, target: Target, rule: Rule, *, weight: Tensor | None = None, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """The loss [...] of `cross_entropy` and its gradient [..., K] in one step: for `logits.backward(grad)`.

    The gradient is that of the sum of the losses, in the logits' dtype; neither is differentiable. Raises
    ValueError as `cross_entropy` does.
    """
    check_target(logits, target, rule, weight)
    choice = choose(backend, logits.device, rule, logits.shape[-1], logits.dtype)
    with torch.no_grad():
        loss, grad = run(choice, "loss_and_grad", logits.device, logits, target, rule, weight, True)
    return loss, grad


def categorical_td(
    outputs: Tensor,
    action: Tensor,
    next_outputs: Tensor,
    reward: Tensor,
    discount: Tensor,
    rule: ValueRule,
    *,
    next_online_outputs: Tensor | None = None,
    weight: Tensor | None = None,
    backend: str = "auto",
) -> TDResult:
    """One Bellman step from logits to (loss, TD error, clipped), each [...]; the loss is differentiable.

    outputs and next_outputs [..., A, K], integer action [...], reward [...], and
    discount [...] = gamma^n (1 - terminated). The greedy next action is next_outputs' own, or that of
    next_online_outputs [..., A, K] (double Q-learning). The target is reward + discount * next value, or for
    `ProjectedLabel` the next distribution moved so; `clipped` says whether the scalar target lay outside the
    rule's range. Raises ValueError for bad shapes, dtypes, devices or backend.
    """
    inputs = TDInputs(outputs, action, next_outputs, reward, discount, next_online_outputs, weight)
    choice = _td_choice(inputs, rule, backend)
    if is_recorded():
        if choice.name not in OPERATORS:
            return plain.categorical_td(inputs, rule)
        from catzoo.kernels import compiled

        return compiled.categorical_td(choice, inputs, rule)
    return autograd.categorical_td(choice, inputs, rule)


def categorical_td_and_grad(
    outputs: Tensor,
    action: Tensor,
    next_outputs: Tensor,
    reward: Tensor,
    discount: Tensor,
    rule: ValueRule,
    *,
    next_online_outputs: Tensor | None = None,
    weight: Tensor | None = None,
    backend: str = "auto",
) -> tuple[TDResult, Tensor]:
    """`categorical_td` and the gradient [..., A, K] of its summed loss in one step: `outputs.backward(grad)`.

    Neither is differentiable. Arguments and errors as `categorical_td`'s.
    """
    inputs = TDInputs(outputs, action, next_outputs, reward, discount, next_online_outputs, weight)
    choice = _td_choice(inputs, rule, backend)
    with torch.no_grad():
        result, grad = run(choice, "categorical_td", outputs.device, inputs, rule, True)
    return result, grad


def categorical_value(logits: Tensor, bins: Bins, *, backend: str = "auto") -> Tensor:
    """The mean of softmax(logits [..., K]) over the bins' centers → value [...], differentiable."""
    check_outputs("logits", logits, bins.num_bins)
    choice = choose(backend, logits.device, None, bins.num_bins, logits.dtype)
    if choice.name == "torch" or (is_recorded() and choice.name not in OPERATORS):
        return plain.categorical_value(logits, bins)
    if is_recorded():
        from catzoo.kernels import compiled

        return compiled.categorical_value(choice, logits, bins)
    return autograd.categorical_value(choice, logits, bins)


@torch.no_grad()
def greedy_action(logits: Tensor, bins: Bins, *, backend: str = "auto") -> Tensor:
    """The action [...] whose logits [..., A, K] have the largest mean; the first of several, a NaN first."""
    check_outputs("logits", logits, bins.num_bins, dims=2)
    if is_recorded():
        return categorical_value(logits, bins, backend=backend).argmax(dim=-1)
    choice = choose(backend, logits.device, None, bins.num_bins, logits.dtype)
    action: Tensor = run(choice, "greedy_action", logits.device, logits, bins)
    return action


def label(target: Target, rule: Rule, *, dtype: torch.dtype | None = None) -> Tensor:
    """The label [..., K] that the rule makes of a target, whole; float32, or float64 for a float64 target."""
    tensor = target.logits if isinstance(target, NextDistribution) else target
    check_tensor("target", tensor)
    return plain.label(target, rule, dtype or compute_dtype(tensor))


def hl_gauss_cross_entropy(
    logits: Tensor,
    target: Tensor,
    bins: Bins,
    *,
    sigma: float,
    clamp: tuple[float, float] | None = None,
    method: Method = "auto",
    weight: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Cross-entropy to the Gaussian around the target, integrated over the bins (arXiv 2403.03950, 3.1).

    logits [..., K], target [...] → loss [...]. sigma and clamp are in the target's units, as for
    `GaussianLabel`, which also says what `method` does. Raises ValueError for bad shapes, dtypes, devices,
    sigma, clamp, method or backend.
    """
    rule = _rule(GaussianLabel, bins, sigma, None if clamp is None else tuple(clamp), method)
    return cross_entropy(logits, target, rule, weight=weight, backend=backend)


def two_hot_cross_entropy(
    logits: Tensor, target: Tensor, bins: Bins, *, weight: Tensor | None = None, backend: str = "auto"
) -> Tensor:
    """Cross-entropy to the two-hot label of the target (arXiv 2403.03950, eq. 3.2 with its weights in order).

    logits [..., K], target [...] in the bins' units → loss [...]. Raises ValueError as `cross_entropy` does.
    """
    return cross_entropy(logits, target, _rule(TwoHotLabel, bins), weight=weight, backend=backend)


def soft_label_cross_entropy(
    logits: Tensor, label: Tensor, *, weight: Tensor | None = None, backend: str = "auto"
) -> Tensor:
    """Cross-entropy of logits [..., K] to a label [..., K] that sums to one → loss [...].

    Raises ValueError as `cross_entropy` does.
    """
    return cross_entropy(logits, label, _rule(GivenLabel), weight=weight, backend=backend)


def c51_cross_entropy(
    logits: Tensor,
    next_logits: Tensor,
    reward: Tensor,
    discount: Tensor,
    bins: Bins,
    *,
    weight: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """Cross-entropy to the projected distribution of reward + discount * Z' (C51, arXiv 1707.06887, eq. 7).

    logits and next_logits [..., K], reward and discount [...] → loss [...]. Raises ValueError as
    `cross_entropy` does.
    """
    target = NextDistribution(next_logits, reward, discount)
    return cross_entropy(logits, target, _rule(ProjectedLabel, bins), weight=weight, backend=backend)


def _td_choice(inputs: TDInputs, rule: ValueRule, backend: str) -> Choice:
    check_td(inputs, rule.bins.num_bins)
    outputs = inputs.outputs
    return choose(backend, outputs.device, rule, outputs.shape[-1], outputs.dtype)


def _rule(kind: Callable[..., Rule], *numbers: Hashable) -> Rule:
    """The rule of such numbers, and on every call the same one, so that what is made for it can be kept."""
    return kind(*numbers) if torch.compiler.is_compiling() else _kept_rule(kind, *numbers)


@functools.lru_cache(maxsize=128)
def _kept_rule(kind: Callable[..., Rule], *numbers: Hashable) -> Rule:
    return kind(*numbers)
