"""The last linear layer, label and cross-entropy in one: the logits [N, K] are never whole in memory.

    l = x W^T + b    d loss / d x = g W    d loss / d W = g^T x    d loss / d b = sum g    g = softmax(l) - p

Rows are taken some thousands at a time, after Liger-Kernel's fused linear cross-entropy (arXiv 2410.10989).
In Triton the logits of a row do not leave the chip; g does, for the two products. What is kept for the
backward pass is what goes in, so that it multiplies once more: four products of N K D instead of three.

Shapes: ... any leading dimensions, N rows, D features, K bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from catzoo.kernels import autograd
from catzoo.kernels.backend import Choice, choose, run
from catzoo.kernels.check import check_target
from catzoo.kernels.functional import cross_entropy
from catzoo.kernels.numerics import compute_dtype, is_recorded
from catzoo.kernels.rules import NextDistribution, Rule, Target

ROWS_ON_A_CPU = 2048
"""At a time: their logits stay in the cache. A fifth faster than all of 131,072 rows at once (128 bins)."""
ROWS = 65_536
"""At a time elsewhere."""


class LinearGradients(NamedTuple):
    """By the features [..., D], the layer's weight [K, D] and its bias [K]."""

    features: Tensor
    weight: Tensor
    bias: Tensor | None


def linear_cross_entropy(
    features: Tensor,
    head_weight: Tensor,
    head_bias: Tensor | None,
    target: Target,
    rule: Rule,
    *,
    weight: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """`cross_entropy` of the logits that a linear layer makes of features [..., D] → loss [...].

    head_weight [K, D] and head_bias [K] or None are an `nn.Linear`'s; target and weight as for
    `cross_entropy`. Gradients flow to features and layer. For second derivatives, and inside of `torch.func`
    and `torch.compile`, the logits are made whole. Raises ValueError for bad shapes, dtypes, devices or
    backend.
    """
    features, head_weight, head_bias = _in_one_dtype(features, head_weight, head_bias)
    if is_recorded() or torch._C._functorch.peek_interpreter_stack() is not None:
        logits = functional.linear(features, head_weight, head_bias)
        return cross_entropy(logits, target, rule, weight=weight, backend=backend)
    choice = _check(features, head_weight, head_bias, target, rule, weight, backend)
    tensors = target if isinstance(target, NextDistribution) else (target,)
    arguments = choice, rule, features, head_weight, head_bias, weight, *tensors
    return cast("Tensor", _LinearCrossEntropy.apply(*arguments))


@torch.no_grad()
def linear_loss_and_grad(
    features: Tensor,
    head_weight: Tensor,
    head_bias: Tensor | None,
    target: Target,
    rule: Rule,
    *,
    weight: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, LinearGradients]:
    """The loss [...] of `linear_cross_entropy` and the gradients of its sum, in one pass: three products.

    Neither is differentiable: for `features.backward(gradients.features)`. Arguments and errors as there.
    """
    features, head_weight, head_bias = _in_one_dtype(features, head_weight, head_bias)
    choice = _check(features, head_weight, head_bias, target, rule, weight, backend)
    return _loss_and_grad(choice, features, head_weight, head_bias, target, rule, weight)


def _in_one_dtype(*tensors: Tensor | None) -> tuple[Any, ...]:
    """Under autocast what a linear layer would compute in, else as they are."""
    device = cast("Tensor", tensors[0]).device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(None if x is None else x.to(dtype) for x in tensors)


def _check(
    features_D: Tensor,
    head_KD: Tensor,
    bias_K: Tensor | None,
    target: Target,
    rule: Rule,
    weight: Tensor | None,
    backend: str,
) -> Choice:
    if head_KD.ndim != 2 or features_D.ndim < 1 or features_D.shape[-1] != head_KD.shape[-1]:
        raise ValueError(
            f"features must be [..., D] and the head's weight [K, D], "
            f"got {list(features_D.shape)} and {list(head_KD.shape)}"
        )
    if bias_K is not None and bias_K.shape != head_KD.shape[:1]:
        raise ValueError(f"the head's bias must be [{len(head_KD)}], got {list(bias_K.shape)}")
    for name, x in (("weight", head_KD), ("bias", bias_K)):
        if x is not None and (x.dtype, x.device) != (features_D.dtype, features_D.device):
            raise ValueError(
                f"features and the head's {name} must have one dtype and device, "
                f"got {features_D.dtype} on {features_D.device} and {x.dtype} on {x.device}"
            )
    num_bins = len(head_KD)
    like_logits = features_D.new_empty(1).expand(*features_D.shape[:-1], num_bins)  # of no memory
    check_target(like_logits, target, rule, weight)
    return choose(backend, features_D.device, rule, num_bins, features_D.dtype)


def _pieces(
    features_D: Tensor, target: Target, weight: Tensor | None
) -> Iterator[tuple[slice, Tensor, Target, Tensor | None]]:
    """Some rows [n, D] at a time, with their place, targets and weights."""
    rows = ROWS_ON_A_CPU if features_D.is_cpu else ROWS
    count, lead = features_D.shape[:-1].numel(), features_D.ndim - 1

    def flat(x: Tensor) -> Tensor:
        return x.reshape(count, *x.shape[lead:])

    features_ND, weight = flat(features_D), None if weight is None else flat(weight)
    tensors = [flat(x) for x in (target if isinstance(target, NextDistribution) else (target,))]
    for first in range(0, count, rows):
        at = slice(first, first + rows)
        some = autograd.target_of([x[at] for x in tensors])
        yield at, features_ND[at], some, None if weight is None else weight[at]


def _loss(
    choice: Choice,
    features_D: Tensor,
    head_KD: Tensor,
    bias_K: Tensor | None,
    target: Target,
    rule: Rule,
    weight: Tensor | None,
) -> Tensor:
    """The loss [...] alone."""
    loss_N = _losses_of(features_D)
    for at, x_ND, some, by in _pieces(features_D, target, weight):
        step = x_ND, head_KD, bias_K, some, rule, by, False
        loss_N[at], _ = run(choice, "linear_loss_and_grad", x_ND.device, *step)
    return loss_N.view(features_D.shape[:-1])


def _losses_of(features_D: Tensor) -> Tensor:
    """Where the losses [N] go: small tensors kept one by one would break the memory into pieces."""
    return features_D.new_empty(features_D.shape[:-1].numel(), dtype=compute_dtype(features_D))


def _loss_and_grad(
    choice: Choice,
    features_D: Tensor,
    head_KD: Tensor,
    bias_K: Tensor | None,
    target: Target,
    rule: Rule,
    weight: Tensor | None,
) -> tuple[Tensor, LinearGradients]:
    by_features_D = torch.empty_like(features_D, memory_format=torch.contiguous_format)
    by_features_ND = by_features_D.view(-1, features_D.shape[-1])
    # Sums over many rows, which half precision would not hold.
    exact = torch.promote_types(head_KD.dtype, torch.float32)
    by_head_KD, by_bias_K = (torch.zeros_like(x, dtype=exact) for x in (head_KD, head_KD[:, 0]))
    loss_N = _losses_of(features_D)
    for at, x_ND, some, by in _pieces(features_D, target, weight):
        step = x_ND, head_KD, bias_K, some, rule, by, True
        loss_N[at], grad_NK = run(choice, "linear_loss_and_grad", x_ND.device, *step)
        torch.mm(grad_NK, head_KD, out=by_features_ND[at])
        if exact == x_ND.dtype:
            by_head_KD.addmm_(grad_NK.t(), x_ND)
        else:
            by_head_KD += grad_NK.t() @ x_ND
        by_bias_K += grad_NK.sum(0, dtype=exact)
    dtype, loss = head_KD.dtype, loss_N.view(features_D.shape[:-1])
    by_bias = None if bias_K is None else by_bias_K.to(dtype)
    return loss, LinearGradients(by_features_D, by_head_KD.to(dtype), by_bias)


class _LinearCrossEntropy(torch.autograd.Function):
    """(choice, rule, features [..., D], a layer's weight and bias, weight [...] or None, *target) → loss."""

    @staticmethod
    def forward(
        ctx: Any,
        choice: Choice,
        rule: Rule,
        features_D: Tensor,
        head_KD: Tensor,
        bias_K: Tensor | None,
        weight: Tensor | None,
        *target: Tensor,
    ) -> Tensor:
        ctx.choice, ctx.rule = choice, rule
        ctx.save_for_backward(features_D, head_KD, bias_K, weight, *target)
        return _loss(choice, features_D, head_KD, bias_K, autograd.target_of(target), rule, weight)

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        *layer, weight = ctx.saved_tensors[:4]
        tensors = ctx.saved_tensors[4:]
        target, others = autograd.target_of(tensors), [None] * (1 + len(tensors))
        if torch.is_grad_enabled():  # a second derivative is wanted: by the logits, whole
            logits_K = functional.linear(*layer)
            loss = autograd.cross_entropy(ctx.choice, logits_K, target, ctx.rule, weight)
            asked = [x for x in layer if x is not None and x.requires_grad]
            made = iter(torch.autograd.grad(loss, asked, grad_loss, create_graph=True))
            by_layer = [None if x is None or not x.requires_grad else next(made) for x in layer]
            return None, None, *by_layer, *others
        by = grad_loss if weight is None else grad_loss * weight
        features_D, head_KD, bias_K = layer
        given = features_D, head_KD, bias_K, target, ctx.rule, by
        _, gradients = _loss_and_grad(ctx.choice, *given)
        return None, None, *gradients, *others
