"""Cross-entropy of logits against a windowed label, with the gradient written down instead of derived.

    loss = -sum_i p_i log softmax(l)_i          d loss / d l = softmax(l) - p          (p sums to one)

The forward pass makes the gradient while the log-probabilities are at hand; the backward pass only scales it.
Labels are constants: no gradient flows to them.

Shapes: ... any leading dimensions, K bins, W bins of a window.
"""

from typing import Any, cast

import torch
from torch import Tensor

from catzoo.kernels.labels import Label, dense
from catzoo.kernels.numerics import at_least_float32, nan_unless_finite

# Up to so many logits fewer calls beat less arithmetic (measured on one CPU core).
SMALL = 50_000


def is_small(logits_K: Tensor) -> bool:
    """Whether the cost is in calls, so that the plain formula over the whole label is the fastest."""
    return logits_K.numel() <= SMALL


def cross_entropy(logits_K: Tensor, label: Label) -> Tensor:
    """One loss [...] per sample; NaN where a logit or a probability is NaN or infinite."""
    logits_K = at_least_float32(logits_K)
    # The compiler fuses and derives the plain formula; without gradients there is nothing to prepare.
    wants_grad = torch.is_grad_enabled() and logits_K.requires_grad
    if torch.compiler.is_compiling() or is_small(logits_K) or not wants_grad:
        return _loss(torch.log_softmax(logits_K, dim=-1), label.probs, label.bins())
    loss, _ = cast("tuple[Tensor, Tensor]", _CrossEntropy.apply(logits_K, label.probs, label.bins()))
    return loss


def _loss(log_probs_K: Tensor, probs_W: Tensor, bins_W: Tensor | None) -> Tensor:
    if bins_W is None:
        loss = -(probs_W * log_probs_K).sum(dim=-1)
        return nan_unless_finite(loss, loss)
    loss = -(probs_W * log_probs_K.gather(-1, bins_W)).sum(dim=-1)
    # A logit of -inf outside the window would go unseen; +inf and NaN spoil every log-probability.
    return nan_unless_finite(loss, log_probs_K.detach().sum(dim=-1))


class _CrossEntropy(torch.autograd.Function):
    """(logits [..., K], probs [..., W], bins [..., W] or None) → (loss [...], its gradient [..., K])."""

    @staticmethod
    def forward(logits_K: Tensor, probs_W: Tensor, bins_W: Tensor | None) -> tuple[Tensor, Tensor]:
        log_probs_K = torch.log_softmax(logits_K, dim=-1)
        loss = _loss(log_probs_K, probs_W, bins_W)
        grad_K = log_probs_K.exp_()
        if bins_W is None:
            return loss, grad_K.sub_(probs_W)
        return loss, grad_K.scatter_add_(-1, bins_W, -probs_W)

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: tuple[Tensor, Tensor]
    ) -> None:
        logits_K, probs_W, bins_W = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # or autograd fills zeros [..., K] for the second output
        ctx.save_for_backward(logits_K, probs_W, bins_W, output[1])

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor | None, _: Any) -> tuple[Tensor | None, None, None]:
        if grad_loss is None:
            return None, None, None
        logits_K, probs_W, bins_W, grad_K = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: derive it from the plain formula
            grad_K = torch.softmax(logits_K, dim=-1) - dense(probs_W, bins_W, logits_K.shape[-1])
        return grad_loss[..., None] * grad_K, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """A mapped dimension is one more leading dimension."""
        leading = [
            x if x is None else x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip(inputs, in_dims, strict=True)
        ]
        return _CrossEntropy.apply(*leading), (0, 0)
