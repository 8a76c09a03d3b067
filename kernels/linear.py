"""The last linear layer, label and cross-entropy in one: the logits [N, K] are never whole in memory.

    l = x W^T + b    d loss / d x = g W    d loss / d W = g^T x    d loss / d b = sum g    g = softmax(l) - p

Rows are taken some thousands at a time, after Liger-Kernel's fused linear cross-entropy (arXiv 2410.10989).
In Triton the logits of a row do not leave the chip; g does, for the two products. What is kept for the
backward pass is what goes in, so that it multiplies once more: four products of N K D instead of three.

Shapes: ... any leading dimensions, N rows, D features, K bins.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from catzoo.kernels import autograd
from catzoo.kernels.backend import Choice, choose, run
from catzoo.kernels.check import check_target
from catzoo.kernels.functional import cross_entropy
from catzoo.kernels.last_layer import LastLayer
from catzoo.kernels.numerics import compute_dtype, is_recorded
from catzoo.kernels.rules import NextDistribution, Rule, Target

ROWS_ON_A_CPU = 2048
"""At a time: their logits stay in the cache. A fifth faster than all of 131,072 rows at once (128 bins)."""
ROWS = 65_536
"""At a time elsewhere."""


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
    layer = _in_one_dtype(LastLayer(features, head_weight, head_bias))
    choice = _check(layer, target, rule, weight, backend)
    if is_recorded() or autograd.is_mapped():
        return cross_entropy(layer.logits(), target, rule, weight=weight, backend=backend)
    tensors = target if isinstance(target, NextDistribution) else (target,)
    constants = (None if x is None else x.detach() for x in (weight, *tensors))
    return cast("Tensor", _LinearCrossEntropy.apply(choice, rule, *layer, *constants))


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
) -> tuple[Tensor, LastLayer]:
    """The loss [...] of `linear_cross_entropy` and the gradients of its sum, in one pass: three products.

    The gradients are by features, weight and bias, and have their dtypes. Neither is differentiable: for
    `features.backward(gradients.features)`. Arguments and errors as there; not inside of `torch.func`.
    """
    given = LastLayer(features, head_weight, head_bias)
    layer = _in_one_dtype(given)
    choice = _check(layer, target, rule, weight, backend)
    loss, gradients = _loss_and_grad(choice, layer, target, rule, weight, (True, True, True), True)
    typed = (None if x is None or y is None else y.to(x.dtype) for x, y in zip(given, gradients, strict=True))
    return loss, LastLayer(*cast("Iterator[Tensor]", typed))


def _in_one_dtype(layer: LastLayer) -> LastLayer:
    """Under autocast what a linear layer would compute in, else as it is."""
    device = layer.features.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return layer
    dtype = torch.get_autocast_dtype(device)
    typed = (x if x is None or x.dtype == torch.float64 else x.to(dtype) for x in layer)
    return LastLayer(*cast("Iterator[Tensor]", typed))


def _without_autocast(device: torch.device) -> Any:
    """For what is cast already, and for a backward pass inside of another's autocast."""
    if not torch.amp.is_autocast_available(device.type) or not torch.is_autocast_enabled(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


def _check(layer: LastLayer, target: Target, rule: Rule, weight: Tensor | None, backend: str) -> Choice:
    features_D, head_KD, bias_K = layer
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


def _loss(choice: Choice, layer: LastLayer, target: Target, rule: Rule, weight: Tensor | None) -> Tensor:
    """The loss [...] alone."""
    loss_N = _losses_of(layer.features)
    with _without_autocast(loss_N.device):
        for at, x_ND, some, by in _pieces(layer.features, target, weight):
            step = layer._replace(features=x_ND), some, rule, by, False
            loss_N[at], _ = run(choice, "linear_loss_and_grad", x_ND.device, *step)
    return loss_N.view(layer.features.shape[:-1])


def _losses_of(features_D: Tensor) -> Tensor:
    """Where the losses [N] go: small tensors kept one by one would break the memory into pieces."""
    return features_D.new_empty(features_D.shape[:-1].numel(), dtype=compute_dtype(features_D))


def _loss_and_grad(
    choice: Choice,
    layer: LastLayer,
    target: Target,
    rule: Rule,
    weight: Tensor | None,
    wanted: Sequence[bool],
    has_rows_out: bool,
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The loss [...], and the gradients that are wanted of features, head and bias.

    has_rows_out: a weight of 0 means that the row is out, whatever it holds, where 0 * NaN would be NaN.
    """
    (features_D, head_KD, bias_K), (features, head, bias) = layer, wanted
    loss_N = _losses_of(features_D)
    by_features_D = torch.empty_like(features_D, memory_format=torch.contiguous_format) if features else None
    # Sums over many rows, which half precision would not hold.
    exact = torch.promote_types(head_KD.dtype, torch.float32)
    by_head_KD = torch.zeros_like(head_KD, dtype=exact) if head else None
    by_bias_K = torch.zeros_like(bias_K, dtype=exact) if bias and bias_K is not None else None
    with _without_autocast(features_D.device):
        for at, x_ND, some, by in _pieces(features_D, target, weight):
            step = layer._replace(features=x_ND), some, rule, by, True
            loss_N[at], grad_NK = run(choice, "linear_loss_and_grad", x_ND.device, *step)
            if by_features_D is not None:
                by_features_D.view(len(loss_N), features_D.shape[-1])[at] = grad_NK @ head_KD
            if by_head_KD is not None:
                if by is not None and has_rows_out:
                    x_ND = x_ND.masked_fill((by == 0).unsqueeze(-1), 0)
                _add_product(by_head_KD, grad_NK.t(), x_ND)
            if by_bias_K is not None:
                by_bias_K += grad_NK.sum(0, dtype=exact)
    sums = (None if x is None else x.to(head_KD.dtype) for x in (by_head_KD, by_bias_K))
    return loss_N.view(features_D.shape[:-1]), (by_features_D, *sums)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a b, of which no part is rounded to half precision."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    elif a.is_cuda and _takes_out_dtype():
        total += torch.mm(a, b, out_dtype=total.dtype)
    else:
        total.addmm_(a.to(total.dtype), b.to(total.dtype))


@functools.cache
def _takes_out_dtype() -> bool:
    """Whether this PyTorch's products have sums of another dtype; on a GPU, where they do."""
    one = torch.ones(1, 1, device="cpu")
    try:
        torch.mm(one, one, out_dtype=one.dtype)
    except TypeError:
        return False
    except RuntimeError:
        pass
    return True


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
        layer = LastLayer(features_D, head_KD, bias_K)
        return _loss(choice, layer, autograd.target_of(target), rule, weight)

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        *parts, weight = (saved := ctx.saved_tensors)[:4]
        layer, target, wanted = LastLayer(*parts), autograd.target_of(saved[4:]), ctx.needs_input_grad[2:5]
        others = [None] * (len(saved) - 3)
        if torch.is_grad_enabled() or autograd.is_batched(grad_loss):
            by_layer = _through_logits(ctx.choice, ctx.rule, layer, wanted, target, weight, grad_loss)
            return None, None, *by_layer, *others
        by = grad_loss if weight is None else grad_loss * weight
        _, gradients = _loss_and_grad(ctx.choice, layer, target, ctx.rule, by, wanted, weight is not None)
        return None, None, *gradients, *others


def _through_logits(
    choice: Choice,
    rule: Rule,
    layer: LastLayer,
    wanted: Sequence[bool],
    target: Target,
    weight: Tensor | None,
    grad_loss: Tensor,
) -> list[Tensor | None]:
    """The gradients by whole logits: differentiable, and for many gradients of the loss at once."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # By other names, as one tensor may be features and a part of the layer, or lead to both.
        named = [None if x is None else x.view_as(x) if again else x.detach().requires_grad_() for x in layer]
        logits_K = LastLayer(*cast("list[Tensor]", named)).logits()
        loss = autograd.cross_entropy(choice, logits_K, target, rule, weight)
    asked = [x for x, is_wanted in zip(named, wanted, strict=True) if is_wanted]
    made = iter(torch.autograd.grad(loss, cast("list[Tensor]", asked), grad_loss, create_graph=again))
    return [next(made) if is_wanted else None for is_wanted in wanted]
