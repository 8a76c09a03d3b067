"""Derivatives of the fused steps: their forward pass makes the gradient, the backward pass scales it.

Targets are constants: gradients flow to the logits only. The label is a constant part of the gradient too, so
that a second derivative needs no more than the logits. Under `torch.func.vmap` the mapped dimension is one
more leading dimension of the same call.

Shapes: ... any leading dimensions, A actions, K bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from catzoo.kernels import plain
from catzoo.kernels.backend import Choice, run
from catzoo.kernels.bins import Bins
from catzoo.kernels.rules import NextDistribution, Rule, Target, ValueRule
from catzoo.kernels.td import TDInputs, TDResult

Dims = tuple[int | None, ...]

# Their Bellman step leaves the gradient compact, [..., K]: to put it in its place once it is scaled
# costs less.
CPU = ("numba", "torch")

# Where a gradient costs its bytes, and little besides. A multiplication is launched faster than a kernel of
# Triton's, so that small batches keep theirs.
RECOMPUTES = ("triton",)
LARGE = 2**26
"""Bytes of logits."""


def derives(x: Tensor) -> bool:
    """Whether a derivative by x may be asked for."""
    return (torch.is_grad_enabled() and x.requires_grad) or is_mapped()


def is_batched(x: Tensor) -> bool:
    """Whether it stands for many tensors, as with `is_grads_batched`: a kernel cannot take it."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(x) or functorch.is_legacy_batchedtensor(x)


def is_mapped() -> bool:
    """Whether `torch.func` is at work, which may ask for any derivative."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def cross_entropy(
    choice: Choice, logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None
) -> Tensor:
    """The differentiable loss [...] of an implementation."""
    loss: Tensor
    if is_mapped():
        tensors = target if isinstance(target, NextDistribution) else (target,)
        loss, _ = _CrossEntropy.apply(choice, rule, logits_K, weight, *tensors)
    elif torch.is_grad_enabled() and logits_K.requires_grad:
        loss = _EagerCrossEntropy.apply(choice, rule, logits_K, weight, target)
    else:
        with torch.no_grad():
            loss, _ = run(choice, "loss_and_grad", logits_K.device, logits_K, target, rule, weight, False)
    return loss


def categorical_td(choice: Choice, inputs: TDInputs, rule: ValueRule) -> TDResult:
    """The differentiable Bellman step of an implementation."""
    if is_mapped():
        *result, _ = _CategoricalTD.apply(choice, rule, *inputs)
        return TDResult(*result)
    if torch.is_grad_enabled() and inputs.outputs.requires_grad:
        others: list[Tensor] = []
        return TDResult(_EagerCategoricalTD.apply(others, choice, rule, *inputs), *others)
    with torch.no_grad():
        return _td(choice, inputs, rule, False)[0]


def categorical_value(choice: Choice, logits_K: Tensor, bins: Bins) -> Tensor:
    """The differentiable value [...] of an implementation."""
    if not derives(logits_K):
        with torch.no_grad():
            return cast("Tensor", run(choice, "categorical_value", logits_K.device, logits_K, bins))
    if choice.name in CPU:  # on a CPU a function of one's own costs more than four calls
        return plain.categorical_value(logits_K, bins)
    return cast("Tensor", _CategoricalValue.apply(choice, bins, logits_K))


def target_of(tensors: Sequence[Tensor]) -> Target:
    return NextDistribution(*tensors) if len(tensors) == 3 else tensors[0]


def _lead(size: int, dims: Dims, tensors: tuple[Any, ...]) -> list[Any]:
    """The arguments of a vmapped call with the mapped dimension first in every tensor."""
    return [
        x if not isinstance(x, Tensor) else x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip(tensors, dims, strict=True)
    ]


class _EagerCrossEntropy(torch.autograd.Function):
    """(choice, rule, logits [..., K], weight [...] or None, target) → loss [...], outside `torch.func`.

    It takes 25 µs less: it has one output, and no `setup_context`, which brings in `inspect.signature`. Of a
    large batch the backward pass makes the gradient, by the kernel, already scaled: the logits are read
    twice and the gradient written once, where keeping it writes it twice and reads it once more. That is
    three passes over memory for four, and a tensor less between the two.
    """

    @staticmethod
    def forward(
        ctx: Any, choice: Choice, rule: Rule, logits_K: Tensor, weight: Tensor | None, target: Target
    ) -> Tensor:
        keeps = not _is_made_again(choice, logits_K, target)
        loss, grad_K = run(choice, "loss_and_grad", logits_K.device, logits_K, target, rule, weight, keeps)
        ctx.choice, ctx.rule = choice, rule
        # A copy: a target's memory may be used again before the backward pass.
        ctx.save_for_backward(grad_K, logits_K, weight, None if keeps else target.clone())  # type: ignore[union-attr]
        return loss  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_K, logits_K, weight, target = ctx.saved_tensors
        if grad_K is not None:
            return None, None, _cross_entropy_backward(grad_K, logits_K, weight, grad_loss), None, None
        # A second derivative is wanted, and the scale is a part of it; or there are many scales.
        twice = torch.is_grad_enabled() or is_batched(grad_loss)
        by = weight if twice else grad_loss if weight is None else grad_loss * weight
        with torch.no_grad():
            again = logits_K, target, ctx.rule, by, True
            _, grad_K = run(ctx.choice, "loss_and_grad", logits_K.device, *again)
        if twice:
            grad_K = _cross_entropy_backward(grad_K, logits_K, weight, grad_loss)
        return None, None, grad_K, None, None


class _CrossEntropy(torch.autograd.Function):
    """(choice, rule, logits [..., K], weight [...] or None, *target) → (loss, gradient)."""

    @staticmethod
    def forward(
        choice: Choice, rule: Rule, logits_K: Tensor, weight: Tensor | None, *target: Tensor
    ) -> tuple[Tensor, Tensor]:
        arguments = (logits_K, target_of(target), rule, weight, True)
        return cast("tuple[Tensor, Tensor]", run(choice, "loss_and_grad", logits_K.device, *arguments))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, _, logits_K, weight, *_ = inputs
        ctx.inputs = len(inputs)
        _keep(ctx, output, logits_K, weight)

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
        grad_K, logits_K, weight = ctx.saved_tensors
        grad_K = None if grad_loss is None else _cross_entropy_backward(grad_K, logits_K, weight, grad_loss)
        return None, None, grad_K, *[None] * (ctx.inputs - 3)

    @staticmethod
    def vmap(info: Any, in_dims: Dims, *inputs: Any) -> tuple[Any, Any]:
        return _CrossEntropy.apply(*_lead(info.batch_size, in_dims, inputs)), (0, 0)


class _EagerCategoricalTD(torch.autograd.Function):
    """(others, choice, rule, *TDInputs) → loss [...], outside `torch.func`; the rest goes to `others`."""

    @staticmethod
    def forward(ctx: Any, others: list[Tensor], choice: Choice, rule: ValueRule, *tensors: Any) -> Tensor:
        (loss, *rest), grad = _td(choice, TDInputs(*tensors), rule, True)
        others += rest
        ctx.choice = choice
        outputs, action, *_, weight = tensors
        ctx.save_for_backward(grad, outputs, action, weight)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_td_backward(ctx, grad_loss)


class _CategoricalTD(torch.autograd.Function):
    """(choice, rule, *TDInputs) → (*TDResult, gradient [..., A, K], or [..., K] of the action taken)."""

    @staticmethod
    def forward(choice: Choice, rule: ValueRule, *tensors: Any) -> tuple[Tensor, ...]:
        result, grad = _td(choice, TDInputs(*tensors), rule, True)
        return *result, cast("Tensor", grad)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.choice, _, outputs, action, *_, weight = inputs
        _keep(ctx, output, outputs, action, weight)

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        return (None,) * 9 if grad_loss is None else _td_backward(ctx, grad_loss)

    @staticmethod
    def vmap(info: Any, in_dims: Dims, *inputs: Any) -> tuple[Any, Any]:
        return _CategoricalTD.apply(*_lead(info.batch_size, in_dims, inputs)), (0, 0, 0, 0)


def _td(choice: Choice, inputs: TDInputs, rule: ValueRule, with_grad: bool) -> tuple[TDResult, Tensor | None]:
    """A step and its gradient, [..., A, K] or compact."""
    step = "chosen_td" if choice.name in CPU else "categorical_td"
    result = run(choice, step, inputs.outputs.device, inputs, rule, with_grad)
    return cast("tuple[TDResult, Tensor | None]", result)


def _td_backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
    grad, outputs, action, weight = ctx.saved_tensors
    is_whole = grad.ndim == outputs.ndim
    if torch.is_grad_enabled():  # a second derivative is wanted
        change_K = plain.change_of_gradient(plain.take(outputs, action), weight)
        grad = grad + (plain.put(change_K, action, outputs) if is_whole else change_K)
    if is_whole:
        grad = _scale(grad, grad_loss[..., None, None])
    elif torch.is_grad_enabled() or is_batched(grad_loss):
        grad = plain.put(_scale(grad, grad_loss.unsqueeze(-1)), action, outputs)
    else:
        grad = run(ctx.choice, "put_scaled", outputs.device, grad, grad_loss, action, outputs)
    return None, None, grad, *[None] * (len(TDInputs._fields) - 1)


class _CategoricalValue(torch.autograd.Function):
    """(choice, bins, logits [..., K]) → value [...]."""

    @staticmethod
    def forward(choice: Choice, bins: Bins, logits_K: Tensor) -> Tensor:
        return cast("Tensor", run(choice, "categorical_value", logits_K.device, logits_K, bins))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Choice, Bins, Tensor], output: Tensor) -> None:
        _, ctx.bins, logits_K = inputs
        ctx.save_for_backward(logits_K)

    @staticmethod
    def backward(ctx: Any, grad_value: Tensor) -> tuple[None, None, Tensor]:
        (logits_K,) = ctx.saved_tensors
        return None, None, plain.value_gradient(logits_K, ctx.bins, grad_value)

    @staticmethod
    def vmap(info: Any, in_dims: Dims, *inputs: Any) -> tuple[Tensor, int]:
        return _CategoricalValue.apply(*_lead(info.batch_size, in_dims, inputs)), 0


def _keep(ctx: Any, output: tuple[Any, ...], *tensors: Tensor | None) -> None:
    """Saves the gradient and some inputs, and declares that only the first output has a derivative."""
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)  # or autograd fills zeros [..., K] for the gradient's own
    ctx.save_for_backward(output[-1], *tensors)


def _is_made_again(choice: Choice, logits_K: Tensor, target: Target) -> bool:
    """Whether the backward pass makes the gradient; a target of K numbers would be read twice for it."""
    if choice.name not in RECOMPUTES or isinstance(target, NextDistribution) or target.ndim == logits_K.ndim:
        return False
    return logits_K.numel() * logits_K.element_size() >= LARGE


def _cross_entropy_backward(
    grad_K: Tensor, logits_K: Tensor, weight: Tensor | None, grad_loss: Tensor
) -> Tensor:
    if torch.is_grad_enabled():  # a second derivative is wanted
        grad_K = grad_K + plain.change_of_gradient(logits_K, weight)
    return _scale(grad_K, grad_loss.unsqueeze(-1))


def _scale(grad: Tensor, by: Tensor) -> Tensor:
    scaled = grad * by
    return scaled if scaled.dtype == grad.dtype else scaled.to(grad.dtype)
