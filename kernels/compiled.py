"""The Triton steps as PyTorch operators, for `torch.compile`: opaque to it, so that a graph never breaks.

An operator takes tensors and plain numbers only, so a rule travels as its name and a list of numbers, which
also lets a compiled graph be stored and loaded by another process.

Shapes: ... any leading dimensions, A actions, K bins.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import torch
from torch import Tensor

from catzoo.kernels import plain
from catzoo.kernels.backend import Choice, run
from catzoo.kernels.bins import Bins
from catzoo.kernels.rules import (
    METHODS,
    GaussianLabel,
    GivenLabel,
    NextDistribution,
    ProjectedLabel,
    Rule,
    Target,
    TwoHotLabel,
    ValueRule,
)
from catzoo.kernels.td import TDInputs, TDResult

LARGEST = 1e308  # stands for infinity, which generated code cannot spell


def cross_entropy(
    choice: Choice, logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None
) -> Tensor:
    """The differentiable loss [...], inside compiled code."""
    tensors = target if isinstance(target, NextDistribution) else (target, None, None)
    kind, numbers = encode(rule)
    loss, _ = _loss_and_grad(logits_K, *tensors, weight, kind, numbers, choice.name, choice.automatic)
    return cast("Tensor", loss)


def categorical_td(choice: Choice, inputs: TDInputs, rule: ValueRule) -> TDResult:
    """The differentiable Bellman step, inside compiled code."""
    kind, numbers = encode(rule)
    *result, _ = _categorical_td(*inputs, kind, numbers, choice.name, choice.automatic)
    return TDResult(*result)


def categorical_value(choice: Choice, logits_K: Tensor, bins: Bins) -> Tensor:
    """The differentiable value [...], inside compiled code."""
    kind, numbers = encode(TwoHotLabel(bins))
    return cast("Tensor", _categorical_value(logits_K, kind, numbers, choice.name, choice.automatic))


def encode(rule: Rule) -> tuple[str, list[float]]:
    """A rule's name and numbers."""
    if isinstance(rule, GivenLabel):
        return "GivenLabel", []
    bins = rule.bins
    numbers = [float(bins.num_bins), bins.edge_min, bins.edge_max, float(bins.is_uniform)]
    if bins.edges is not None and bins.centers is not None:
        numbers += [*bins.edges, *bins.centers]
    if isinstance(rule, GaussianLabel):
        low, high = rule.value_range
        clamp = [max(low, -LARGEST), min(high, LARGEST)]
        return "GaussianLabel", [*numbers, rule.sigma, *clamp, float(METHODS.index(rule.method))]
    return ("TwoHotLabel" if isinstance(rule, TwoHotLabel) else "ProjectedLabel"), numbers


@functools.lru_cache(maxsize=256)
def decode(kind: str, numbers: tuple[float, ...]) -> Rule:
    """The rule that `encode` took apart."""
    if kind == "GivenLabel":
        return GivenLabel()
    num_bins, edge_min, edge_max, is_uniform, *rest = numbers
    bins = Bins(edge_min, edge_max, int(num_bins))
    if not is_uniform:
        edges, centers = rest[: bins.num_bins + 1], rest[bins.num_bins + 1 : 2 * bins.num_bins + 1]
        bins, rest = Bins.uneven(edges, centers), rest[2 * bins.num_bins + 1 :]
    if kind == "GaussianLabel":
        sigma, low, high, method = rest
        return GaussianLabel(bins, sigma, (low, high), METHODS[int(method)])
    return TwoHotLabel(bins) if kind == "TwoHotLabel" else ProjectedLabel(bins)


@torch.library.custom_op("catzoo::loss_and_grad", mutates_args=())
def _loss_and_grad(
    logits: Tensor,
    target: Tensor,
    reward: Tensor | None,
    discount: Tensor | None,
    weight: Tensor | None,
    kind: str,
    numbers: list[float],
    backend: str,
    automatic: bool,
) -> tuple[Tensor, Tensor]:
    given: Target = target
    if reward is not None and discount is not None:
        given = NextDistribution(target, reward, discount)
    rule = decode(kind, tuple(numbers))
    arguments = (logits, given, rule, weight, True)
    result = run(Choice(backend, automatic), "loss_and_grad", logits.device, *arguments)
    return cast("tuple[Tensor, Tensor]", result)


@_loss_and_grad.register_fake
def _(logits: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    loss = logits.new_empty(logits.shape[:-1], dtype=torch.float32)
    return loss, torch.empty_like(logits, memory_format=torch.contiguous_format)


@torch.library.custom_op("catzoo::categorical_td", mutates_args=())
def _categorical_td(
    outputs: Tensor,
    action: Tensor,
    next_outputs: Tensor,
    reward: Tensor,
    discount: Tensor,
    next_online_outputs: Tensor | None,
    weight: Tensor | None,
    kind: str,
    numbers: list[float],
    backend: str,
    automatic: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inputs = TDInputs(outputs, action, next_outputs, reward, discount, next_online_outputs, weight)
    rule = decode(kind, tuple(numbers))
    (loss, td_error, clipped), grad = run(
        Choice(backend, automatic), "categorical_td", outputs.device, inputs, rule, True
    )
    return loss, td_error, clipped, grad.contiguous()  # in the layout that the fake says


@_categorical_td.register_fake
def _(outputs: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    loss = outputs.new_empty(outputs.shape[:-2], dtype=torch.float32)
    clipped = torch.empty_like(loss, dtype=torch.bool)
    return (
        loss,
        torch.empty_like(loss),
        clipped,
        torch.empty_like(outputs, memory_format=torch.contiguous_format),
    )


@torch.library.custom_op("catzoo::categorical_value", mutates_args=())
def _categorical_value(
    logits: Tensor, kind: str, numbers: list[float], backend: str, automatic: bool
) -> Tensor:
    bins = cast("TwoHotLabel", decode(kind, tuple(numbers))).bins
    value = run(Choice(backend, automatic), "categorical_value", logits.device, logits, bins)
    return cast("Tensor", value)


@_categorical_value.register_fake
def _(logits: Tensor, *_: Any) -> Tensor:
    return logits.new_empty(logits.shape[:-1], dtype=torch.float32)


def _keep_grad(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(output[-1])
    ctx.arguments = len(inputs)


def _scale_kept_grad(ctx: Any, grad_loss: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():
        raise RuntimeError("compiled code has no second derivative of a Triton loss: call it uncompiled")
    (grad,) = ctx.saved_tensors
    by = grad_loss.reshape(*grad_loss.shape, *[1] * (grad.ndim - grad_loss.ndim))
    return (grad * by).to(grad.dtype), *[None] * (ctx.arguments - 1)


def _keep_logits(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    logits, kind, numbers, *_ = inputs
    ctx.save_for_backward(logits)
    ctx.bins = cast("TwoHotLabel", decode(kind, tuple(numbers))).bins


def _value_gradient(ctx: Any, grad_value: Tensor) -> tuple[Tensor | None, ...]:
    (logits,) = ctx.saved_tensors
    return plain.value_gradient(logits, ctx.bins, grad_value), None, None, None, None


_loss_and_grad.register_autograd(_scale_kept_grad, setup_context=_keep_grad)
_categorical_td.register_autograd(_scale_kept_grad, setup_context=_keep_grad)
_categorical_value.register_autograd(_value_gradient, setup_context=_keep_logits)
